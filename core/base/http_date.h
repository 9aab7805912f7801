/* SPDX-License-Identifier: BSD-3-Clause
 * http_date.h - points in time as HTTP writes them
 *
 * "Sun, 06 Nov 1994 08:49:37 GMT", whatever language the process speaks. Both
 * older forms are read as well. Source: RFC 9110 section 5.6.7
 */
#ifndef CORE_BASE_HTTP_DATE_H
#define CORE_BASE_HTTP_DATE_H

#include <stddef.h>
#include <time.h>

enum { TS_HTTP_DATE_CAP = 40 };

/* Years of four digits; others are written as the epoch. Returns out. */
char *ts_http_date_format(time_t at, char out[static TS_HTTP_DATE_CAP]);
/* All of text. 0 or -EBADMSG. */
int ts_http_date_parse(const char *text, size_t len, time_t *out);

#endif
