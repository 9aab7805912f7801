/* SPDX-License-Identifier: BSD-3-Clause
 * go_json.h - JSON as Go's encoder writes it, byte for byte
 *
 * Hashes and ETags are made of such texts by both sides.
 */
#ifndef CORE_SERVE_GO_JSON_H
#define CORE_SERVE_GO_JSON_H

#include <jansson.h>

/* Objects keep their order. Heap; NULL: out of memory. value NULL: "null". */
char *ts_go_json(const json_t *value);
/* A copy with the keys in Go's order (by bytes), one level. New; NULL: out of
 * memory. */
json_t *ts_go_json_sorted(const json_t *object);

enum { TS_GO_HASH_CAP = 65 };
/* Hex SHA-256 of the text, which end (may be "") follows. */
void ts_go_json_hash(const char *text, const char *end,
		     char out[static TS_GO_HASH_CAP]);

#endif
