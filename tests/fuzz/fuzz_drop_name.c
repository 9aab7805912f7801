/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_drop_name.c - what peers call their files, and say about parts of them
 *
 * First as a part of a URL, then as a Range header, then as a line about a
 * block. A name that is taken is one part of a path, and comes back unchanged.
 */
#include <stdlib.h>
#include <string.h>

#include "core/drop/drop_block.h"
#include "core/drop/drop_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_name(const char *name)
{
	char text[TS_DROP_ESCAPED_CAP], again[TS_DROP_NAME_CAP];
	char partial[TS_DROP_NAME_CAP];

	if (!*name || strchr(name, '/') || strcmp(name, "..") == 0 ||
	    strcmp(name, ".") == 0 || strlen(name) > TS_DROP_NAME_MAX ||
	    ts_drop_name_is_internal(name))
		abort();
	ts_drop_name_escape(name, text);
	if (ts_drop_name_unescape(text, strlen(text), again) ||
	    strcmp(again, name) != 0)
		abort();
	if (ts_drop_name_next(name, again) == 0 &&
	    (!ts_drop_name_is_good(again) || strcmp(again, name) == 0))
		abort();
	if (ts_drop_name_partial(name, "n1", partial) == 0 &&
	    (!ts_drop_name_is_partial_of(partial, "n1") ||
	     ts_drop_name_is_good(partial)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	char name[TS_DROP_NAME_CAP];
	struct ts_drop_block block;
	uint64_t at;

	if (ts_drop_name_unescape(text, len, name) == 0)
		check_name(name);
	if (ts_drop_range_parse(text, len, &at) == 0 && at > INT64_MAX)
		abort();
	if (ts_drop_block_parse(text, len, &block) == 0 &&
	    (block.len == 0 || block.len > TS_DROP_BLOCK_MAX))
		abort();
	return 0;
}
