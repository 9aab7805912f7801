/* SPDX-License-Identifier: BSD-3-Clause
 * json_at.h - what stands in an answer, by its path: "Peers/0/Name"
 */
#ifndef TESTS_UNIT_LOCALAPI_JSON_AT_H
#define TESTS_UNIT_LOCALAPI_JSON_AT_H

#include "unit/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline const json_t *bench_at(const json_t *json, const char *path)
{
	char part[128];

	while (*path && json) {
		size_t len = strcspn(path, "/");

		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		json = json_is_array(json)
			       ? json_array_get(json, (size_t)atoi(part))
			       : json_object_get(json, part);
		path += path[len] ? len + 1 : len;
	}
	return json;
}

static inline void check_at(const json_t *json, const char *path,
			    const char *want)
{
	const json_t *value = bench_at(json, path);

	if (!json_is_string(value))
		fail_msg("%s is no text", path);
	assert_string_equal(json_string_value(value), want);
}

static inline void check_number(const json_t *json, const char *path, long want)
{
	const json_t *value = bench_at(json, path);

	if (!json_is_integer(value))
		fail_msg("%s is no number", path);
	assert_int_equal(json_integer_value(value), want);
}

#endif
