/* The files built into the program, one row each. This file is included several times,
 * with different definitions of ASSET(symbol, path, type, file): assets.S includes the
 * bytes of each file, assets.c makes the table of the files. */

ASSET(index_html, "/", "text/html; charset=utf-8", "web/index.html")
ASSET(style_css, "/style.css", "text/css; charset=utf-8", "web/style.css")
ASSET(api_js, "/api.js", "text/javascript; charset=utf-8", "web/api.js")
ASSET(app_js, "/app.js", "text/javascript; charset=utf-8", "web/app.js")
ASSET(draw_js, "/draw.js", "text/javascript; charset=utf-8", "web/draw.js")
ASSET(maps_js, "/maps.js", "text/javascript; charset=utf-8", "web/maps.js")
ASSET(objects_js, "/objects.js", "text/javascript; charset=utf-8", "web/objects.js")
ASSET(view_js, "/view.js", "text/javascript; charset=utf-8", "web/view.js")
ASSET(favicon_svg, "/favicon.svg", "image/svg+xml", "web/favicon.svg")
ASSET(umbrella_jpg, "/umbrella.jpg", "image/jpeg", "web/examples/umbrella.jpg")
ASSET(yin_yang_jpg, "/yin_yang.jpg", "image/jpeg", "web/examples/yin_yang.jpg")
ASSET(starfish_jpg, "/starfish.jpg", "image/jpeg", "web/examples/starfish.jpg")
ASSET(openapi_json, "/openapi.json", "application/json", "server/api/openapi.json")
