/* SPDX-License-Identifier: BSD-3-Clause
 * retry_after.c - the Retry-After field of an HTTP answer
 * Source: RFC 9110 10.2.3
 */
#include "core/model/retry_after.h"

#include <string.h>

#include "core/base/http_date.h"
#include "core/model/json_fields.h"

int64_t ts_retry_after_s(const char *text, int64_t now_unix)
{
	int64_t seconds;
	time_t at;

	if (ts_int_parse(text, &seconds) == 0)
		return seconds;
	if (ts_http_date_parse(text, strlen(text), &at))
		return 0;
	return (int64_t)at - now_unix;
}
