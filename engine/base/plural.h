#ifndef ADL_BASE_PLURAL_H
#define ADL_BASE_PLURAL_H

/* Endings of counted nouns in messages: ("%zu image%s of %d class%s", images, ADL_S(images),
 * classes, ADL_ES(classes)). */

#define ADL_S(count) ((count) == 1 ? "" : "s")
#define ADL_ES(count) ((count) == 1 ? "" : "es")

#endif
