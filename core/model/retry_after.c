/* SPDX-License-Identifier: BSD-3-Clause
 * retry_after.c - the Retry-After field of an HTTP answer
 * Source: RFC 9110 10.2.3
 */
#include "core/model/retry_after.h"

#include <stddef.h>
#include <time.h>

#include "core/model/json_fields.h"

int64_t ts_retry_after_s(const char *text, int64_t now_unix)
{
	struct tm tm = {0};
	const char *end;
	int64_t seconds;

	if (ts_int_parse(text, &seconds) == 0)
		return seconds;
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end || *end)
		return 0;
	return (int64_t)timegm(&tm) - now_unix;
}
