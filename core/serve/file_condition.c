/* SPDX-License-Identifier: BSD-3-Clause
 * file_condition.c - what a client wants of a file only when it has changed
 */
#include "core/serve/file_condition.h"

#include "core/base/http_body.h"
#include "core/base/http_date.h"

static const struct ts_http1_field *find(const struct ts_http1_head *head,
					 const char *name)
{
	const struct ts_http1_field *f = ts_http1_find(head, name);

	return f && f->value_len > 0 ? f : NULL;
}

/* A date that is none is as if it were not there. */
static bool find_date(const struct ts_http1_head *head, const char *name,
		      time_t *out)
{
	const struct ts_http1_field *f = find(head, name);

	return f && ts_http_date_parse(f->value, f->value_len, out) == 0;
}

int ts_file_condition(const struct ts_http1_head *head, time_t modified)
{
	bool has_time = ts_file_has_time(modified);
	time_t date;

	if (find(head, "If-Match")) {
		if (!ts_http_lists(head, "If-Match", "*"))
			return 412;
	} else if (has_time && find_date(head, "If-Unmodified-Since", &date) &&
		   modified > date) {
		return 412;
	}
	if (find(head, "If-None-Match"))
		return ts_http_lists(head, "If-None-Match", "*") ? 304 : 200;
	return has_time && find_date(head, "If-Modified-Since", &date) &&
			       modified <= date
		       ? 304 : 200;
}

bool ts_file_range_counts(const struct ts_http1_head *head, time_t modified)
{
	time_t date;

	return !find(head, "If-Range") ||
	       (ts_file_has_time(modified) &&
		find_date(head, "If-Range", &date) && date == modified);
}
