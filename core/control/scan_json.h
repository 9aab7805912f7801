/* SPDX-License-Identifier: BSD-3-Clause
 * scan_json.h - walk a large JSON text, parsing one small value at a time
 *
 * A tree of a whole 10,000-node map would take hundreds of megabytes. So the
 * outer objects and arrays are walked here, and only their elements go through
 * jansson. The cursor is a ts_reader over the text.
 */
#ifndef CORE_CONTROL_SCAN_JSON_H
#define CORE_CONTROL_SCAN_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/wire.h"

enum { TS_SCAN_KEY_CAP = 256 };

/* What the next value starts with ('{', '[', '"', 'n', ...); 0 at the end. */
char ts_scan_peek(struct ts_reader *r);
/* Enter an object or array: open is '{' or '['. 0 or -EBADMSG. */
int ts_scan_enter(struct ts_reader *r, char open);
/* Inside: go to the next element. *is_first starts true. 1: there is one, 0:
 * the end was passed, or -EBADMSG. */
int ts_scan_element(struct ts_reader *r, bool *is_first);
/* The same in an object; key gets the name ("" when it is too long). */
int ts_scan_field(struct ts_reader *r, bool *is_first,
		  char key[static TS_SCAN_KEY_CAP]);
/* Parse the value at the cursor and pass it; any type. The caller owns it.
 * NULL: malformed (the reader is then bad). */
json_t *ts_scan_value(struct ts_reader *r);
/* Pass over the value. 0 or -EBADMSG. */
int ts_scan_skip(struct ts_reader *r);
/* Nothing but white space is left. */
bool ts_scan_at_end(struct ts_reader *r);

#endif
