/* Makes the table of routes from route_list.h and searches it. To add a route, add a row to
 * that file and its handler to an api_*.c file; this file does not change. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "server/api/assets.h"
#include "server/api/server.h"

const struct adl_route adl_routes[] = {
#define GET_ROUTE(pattern, handler, ...) {.path = pattern, .get = handler, __VA_ARGS__},
#define POST_ROUTE(pattern, begin, handler, ...)                                                   \
    {.path = pattern, .post_begin = begin, .post = handler, __VA_ARGS__},
#define KEPT_ROUTE(pattern, name, ...)                                                             \
    {.path = pattern,                                                                              \
     .get = name,                                                                                  \
     .put_begin = name##_put_begin,                                                                \
     .put = name##_put,                                                                            \
     .delete_begin = name##_delete_begin,                                                          \
     .delete = name##_delete,                                                                      \
     __VA_ARGS__},
#include "server/api/route_list.h"
#undef GET_ROUTE
#undef POST_ROUTE
#undef KEPT_ROUTE
    {0},
};
_Static_assert(ADL_COUNT(adl_routes) <= ADL_METRICS_ROUTES,
               "there has to be a row of counters for each route");

size_t adl_route_count(void)
{
    return ADL_COUNT(adl_routes) - 1;
}

/* Returns whether a path is one of a route's, in whose pattern "{...}" stands for any segment; in
 * that of files of the page, which may lie in a folder, for all that is left. Sets *rest to what
 * the first of them stands for and all that follows. */
static bool matches(const struct adl_route *route, const char *path, const char **rest)
{
    const char *pattern = route->path;

    *rest = NULL;
    while (*pattern) {
        if (*pattern != '{') {
            if (*path++ != *pattern++)
                return false;
            continue;
        }
        size_t length = route->web ? strlen(path) : strcspn(path, "/");
        if (length == 0)
            return false;
        *rest = *rest ? *rest : path;
        path += length;
        pattern = strchr(pattern, '}') + 1;
    }
    *rest = *rest ? *rest : path;
    return !*path || (route->slash && !strcmp(path, "/"));
}

const struct adl_route *adl_route_find(const char *path, const char **rest)
{
    for (size_t i = 0; adl_routes[i].path; i++)
        if (matches(&adl_routes[i], path, rest) && (!adl_routes[i].web || adl_asset_find(path)))
            return &adl_routes[i];
    *rest = "";
    return NULL;
}

bool adl_route_changes(const struct adl_route *route, const struct adl_door *door)
{
    return door->admin || !route->changed_on_admin;
}

void adl_route_methods(const struct adl_route *route, const struct adl_door *door, char text[64])
{
    bool changes = adl_route_changes(route, door);

    snprintf(text, 64, "%s%s%s%sOPTIONS", route->get ? "GET, HEAD, " : "",
             route->post ? "POST, " : "", changes && route->put ? "PUT, " : "",
             changes && route->delete ? "DELETE, " : "");
}
