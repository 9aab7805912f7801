/* SPDX-License-Identifier: BSD-3-Clause
 * drop_name.h - names of files that others send
 *
 * What a peer calls its file becomes a name in a directory of ours, so it has
 * to be one plain part of a path, of characters that a person can see.
 * Source: feature/taildrop/taildrop.go
 */
#ifndef CORE_DROP_DROP_NAME_H
#define CORE_DROP_DROP_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum {
	TS_DROP_NAME_MAX = 255,
	TS_DROP_NAME_CAP = TS_DROP_NAME_MAX + 1,
	/* Each byte may need three. */
	TS_DROP_ESCAPED_CAP = 3 * TS_DROP_NAME_MAX + 1,
};

/* May a file that is sent have this name? */
bool ts_drop_name_is_good(const char *name);
/* Is it one that is not whole yet, or one that upstream will delete? */
bool ts_drop_name_is_internal(const char *name);
/* While it comes from that node: "NAME.NODE.partial". 0; -EINVAL: no name for
 * a file. */
int ts_drop_name_partial(const char *name, const char *node,
			 char out[static TS_DROP_NAME_CAP]);
bool ts_drop_name_is_partial(const char *file);
/* Is this one of that node's? */
bool ts_drop_name_is_partial_of(const char *file, const char *node);
/* What comes after it where it is taken: "a.txt", "a (1).txt", "a (2).txt". 0;
 * -ENAMETOOLONG. */
int ts_drop_name_next(const char *name, char out[static TS_DROP_NAME_CAP]);

/* As part of a URL's path, and back; 0, -EINVAL (no name for a file). */
void ts_drop_name_escape(const char *name,
			 char out[static TS_DROP_ESCAPED_CAP]);
int ts_drop_name_unescape(const char *text, size_t len,
			  char out[static TS_DROP_NAME_CAP]);

#endif
