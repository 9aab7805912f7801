/* SPDX-License-Identifier: BSD-3-Clause
 * json_fields.h - read the protocol's JSON objects field by field
 *
 * Names match case-insensitively (the exact spelling wins), null and absent
 * are the same, unknown fields are ignored, integers stay exact in 64 bits.
 * A field of the wrong type reads as absent; the readers that return an int
 * report malformed contents as -EBADMSG.
 */
#ifndef CORE_MODEL_JSON_FIELDS_H
#define CORE_MODEL_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/crypto/keys.h"
#include "core/model/netmap.h"

/* For json_loadb() of what others wrote: one NUL in some node's Hostinfo must
 * not cost us the whole map. Text with a NUL then reads as absent. */
enum { TS_JSON_READ_FLAGS = JSON_ALLOW_NUL };

/* Borrowed, or NULL when absent or null. obj may be NULL. */
json_t *ts_json_get(const json_t *obj, const char *name);
/* NULL unless the field is of that type. */
json_t *ts_json_object(const json_t *obj, const char *name);
json_t *ts_json_array(const json_t *obj, const char *name);
const char *ts_json_text(const json_t *obj, const char *name);
int64_t ts_json_int(const json_t *obj, const char *name);
/* 0 when outside min..max */
int ts_json_small(const json_t *obj, const char *name, int min, int max);
double ts_json_number(const json_t *value); /* any number, else 0 */
bool ts_json_bool(const json_t *obj, const char *name);
enum ts_tristate ts_json_opt_bool(const json_t *obj, const char *name);

/* Heap copy, or NULL in *out when absent or empty. 0 or -ENOMEM. */
int ts_json_dup(const json_t *obj, const char *name, char **out);
/* The strings of an array, others skipped. 0 or -ENOMEM. */
int ts_json_dup_list(const json_t *array, char ***out, size_t *count);
void ts_text_list_free(char **list, size_t count);
/* Absent or empty: the zero key. */
int ts_json_key(const json_t *obj, const char *name, const char *prefix,
		struct ts_public_key *out);
/* Entries that do not parse are skipped. 0 or -ENOMEM. */
int ts_json_prefixes(const json_t *array, struct ts_prefix **out,
		     size_t *count);
int ts_json_addrs(const json_t *array, struct ts_addr **out, size_t *count);
/* :: when absent or malformed */
struct ts_ip ts_json_ip(const json_t *obj, const char *name);

/* A text, or NULL: out of memory. */
json_t *ts_json_base64(const void *data, size_t len);

/* RFC 3339 <-> seconds since 1970; 0 stands for the zero time (year 1). */
int64_t ts_json_time(const json_t *obj, const char *name);
int ts_time_parse(const char *text, int64_t *unix_s);
enum { TS_TIME_TEXT_CAP = 24 };
char *ts_time_format(int64_t unix_s, char out[static TS_TIME_TEXT_CAP]);
/* "17" -> 17; the keys of JSON maps. 0 or -EBADMSG. */
int ts_int_parse(const char *text, int64_t *out);

#endif
