/* SPDX-License-Identifier: BSD-3-Clause
 * drop_block.c - which part of a file is there already
 */
#include "core/drop/drop_block.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "core/base/decimal.h"
#include "core/base/encode.h"
#include "core/model/json_fields.h"

#define ALGORITHM "sha256"

size_t ts_drop_block_format(const void *data, size_t len,
			    char out[static TS_DROP_LINE_CAP])
{
	char hex[2 * TS_DROP_SUM_LEN + 1];
	uint8_t sum[TS_DROP_SUM_LEN];

	SHA256(data, len, sum);
	return (size_t)snprintf(out, TS_DROP_LINE_CAP,
				"{\"checksum\":\"%s\",\"algo\":\"" ALGORITHM
				"\",\"size\":%zu}\n",
				ts_hex_encode(sum, sizeof(sum), hex), len);
}

static int read_block(const json_t *json, struct ts_drop_block *out)
{
	const char *sum = json_string_value(json_object_get(json, "checksum"));
	const char *algo = json_string_value(json_object_get(json, "algo"));
	json_int_t size = json_integer_value(json_object_get(json, "size"));

	if (!sum || !algo || strcmp(algo, ALGORITHM) != 0 || size <= 0 ||
	    size > TS_DROP_BLOCK_MAX)
		return -EBADMSG;
	out->len = (size_t)size;
	return ts_hex_decode(sum, strlen(sum), out->sum, sizeof(out->sum));
}

int ts_drop_block_parse(const char *line, size_t len,
			struct ts_drop_block *out)
{
	json_t *json = json_loadb(line, len, TS_JSON_READ_FLAGS, NULL);
	int err = json_is_object(json) ? read_block(json, out) : -EBADMSG;

	json_decref(json);
	return err;
}

bool ts_drop_block_is(const struct ts_drop_block *block, const void *data,
		      size_t len)
{
	uint8_t sum[TS_DROP_SUM_LEN];

	SHA256(data, len, sum);
	return memcmp(sum, block->sum, sizeof(sum)) == 0;
}

int ts_drop_range_parse(const char *text, size_t len, uint64_t *out)
{
	static const char unit[] = "bytes=";
	enum { UNIT_LEN = sizeof(unit) - 1 };

	*out = 0;
	if (len < UNIT_LEN + 2 || memcmp(text, unit, UNIT_LEN) != 0 ||
	    text[len - 1] != '-')
		return -EBADMSG;
	return ts_decimal_parse(text + UNIT_LEN, len - UNIT_LEN - 1, INT64_MAX,
				out);
}
