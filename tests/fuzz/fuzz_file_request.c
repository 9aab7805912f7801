/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_file_request.c - what a client asks of a file: conditions and ranges
 *
 * The first two bytes are the file's size, the rest is a request.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/http_date.h"
#include "core/serve/byte_ranges.h"
#include "core/serve/file_condition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CHANGED = 784111777 };

/* A multipart is as long as it says, and of the file's bytes alone. */
static void write_parts(const struct ts_byte_ranges *r)
{
	char part[TS_BYTE_RANGES_PART_CAP];
	uint64_t sum = 0, total = 0;

	for (size_t i = 0; i <= r->count; i++) {
		size_t n = ts_byte_ranges_part(r, i, "boundary", "text/plain",
					       part);

		if (n >= sizeof(part) || n != strlen(part))
			abort();
		total += n;
	}
	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].len == 0 || r->list[i].first >= r->size ||
		    r->list[i].len > r->size - r->list[i].first)
			abort();
		sum += r->list[i].len;
	}
	if (sum > r->size ||
	    ts_byte_ranges_length(r, "boundary", "text/plain") != total + sum)
		abort();
}

static void read_date(const struct ts_http1_field *f)
{
	char text[TS_HTTP_DATE_CAP];
	time_t at, again;

	if (ts_http_date_parse(f->value, f->value_len, &at))
		return;
	ts_http_date_format(at, text);
	if (ts_http_date_parse(text, strlen(text), &again) || again != at)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_byte_ranges ranges;
	struct ts_http1_head head;
	uint64_t size;
	int status;

	if (len < 2)
		return 0;
	size = (uint64_t)(data[0] << 8 | data[1]);
	if (ts_http1_read_request(data + 2, len - 2, &head))
		return 0;
	status = ts_file_condition(&head, CHANGED);
	if (status != 200 && status != 304 && status != 412)
		abort();
	(void)ts_file_range_counts(&head, CHANGED);
	status = ts_byte_ranges_read(ts_http1_find(&head, "Range"), size,
				     &ranges);
	if ((status == 206) != (ranges.count > 0 && status != 416))
		abort();
	if (status == 206)
		write_parts(&ranges);
	for (size_t i = 0; i < head.field_count; i++)
		read_date(&head.fields[i]);
	return 0;
}
