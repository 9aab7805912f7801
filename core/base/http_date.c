/* SPDX-License-Identifier: BSD-3-Clause
 * http_date.c - points in time as HTTP writes them
 */
#include "core/base/http_date.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { NAME_LEN = 3, YEAR_BASE = 1900, LONG_DAY_MAX = 6 };

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

char *ts_http_date_format(time_t at, char out[static TS_HTTP_DATE_CAP])
{
	struct tm tm;

	if (!gmtime_r(&at, &tm) || tm.tm_year < -YEAR_BASE ||
	    tm.tm_year > 9999 - YEAR_BASE) {
		at = 0;
		gmtime_r(&at, &tm);
	}
	snprintf(out, TS_HTTP_DATE_CAP,
		 "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
		 days + NAME_LEN * tm.tm_wday, tm.tm_mday,
		 months + NAME_LEN * tm.tm_mon, tm.tm_year + YEAR_BASE,
		 tm.tm_hour, tm.tm_min, tm.tm_sec);
	return out;
}

/* -- reading -------------------------------------------------------------- */

struct cursor {
	const char *at, *end;
	bool is_bad;
};

static void skip(struct cursor *c, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
		c->is_bad = true;
	else
		c->at += len;
}

static int number(struct cursor *c, int digits)
{
	int n = 0;

	if (c->end - c->at < digits) {
		c->is_bad = true;
		return 0;
	}
	for (; digits > 0; digits--, c->at++) {
		c->is_bad |= *c->at < '0' || *c->at > '9';
		n = n * 10 + (*c->at - '0');
	}
	return n;
}

static int name(struct cursor *c, const char *names)
{
	for (int i = 0; c->end - c->at >= NAME_LEN && names[NAME_LEN * i]; i++)
		if (memcmp(c->at, names + NAME_LEN * i, NAME_LEN) == 0) {
			c->at += NAME_LEN;
			return i;
		}
	c->is_bad = true;
	return 0;
}

static void clock_time(struct cursor *c, struct tm *tm)
{
	tm->tm_hour = number(c, 2);
	skip(c, ":");
	tm->tm_min = number(c, 2);
	skip(c, ":");
	tm->tm_sec = number(c, 2);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static void read_usual(struct cursor *c, struct tm *tm)
{
	skip(c, ", ");
	tm->tm_mday = number(c, 2);
	skip(c, " ");
	tm->tm_mon = name(c, months);
	skip(c, " ");
	tm->tm_year = number(c, 4) - YEAR_BASE;
	skip(c, " ");
	clock_time(c, tm);
	skip(c, " GMT");
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static void read_rfc850(struct cursor *c, struct tm *tm)
{
	const char *comma = memchr(c->at, ',', (size_t)(c->end - c->at));

	if (!comma || comma - c->at > LONG_DAY_MAX)
		c->is_bad = true;
	else
		c->at = comma;
	skip(c, ", ");
	tm->tm_mday = number(c, 2);
	skip(c, "-");
	tm->tm_mon = name(c, months);
	skip(c, "-");
	tm->tm_year = number(c, 2);
	if (tm->tm_year < 70) /* as everybody reads it */
		tm->tm_year += 100;
	skip(c, " ");
	clock_time(c, tm);
	skip(c, " GMT");
}

/* "Sun Nov  6 08:49:37 1994" */
static void read_asctime(struct cursor *c, struct tm *tm)
{
	skip(c, " ");
	tm->tm_mon = name(c, months);
	skip(c, " ");
	if (c->at < c->end && *c->at == ' ') {
		c->at++;
		tm->tm_mday = number(c, 1);
	} else {
		tm->tm_mday = number(c, 2);
	}
	skip(c, " ");
	clock_time(c, tm);
	skip(c, " ");
	tm->tm_year = number(c, 4) - YEAR_BASE;
}

static bool is_in_range(const struct tm *tm)
{
	struct tm again = *tm;
	time_t at = timegm(&again);

	/* timegm() makes something of the 31st of February. */
	return gmtime_r(&at, &again) && again.tm_mday == tm->tm_mday &&
	       again.tm_hour == tm->tm_hour && again.tm_min == tm->tm_min &&
	       again.tm_sec == tm->tm_sec;
}

int ts_http_date_parse(const char *text, size_t len, time_t *out)
{
	struct cursor c = {text, text + len, false};
	struct tm tm = {.tm_year = 0};

	(void)name(&c, days);
	if (c.is_bad || c.at == c.end)
		return -EBADMSG;
	if (*c.at == ',')
		read_usual(&c, &tm);
	else if (*c.at == ' ')
		read_asctime(&c, &tm);
	else
		read_rfc850(&c, &tm);
	if (c.is_bad || c.at != c.end || !is_in_range(&tm))
		return -EBADMSG;
	*out = timegm(&tm);
	return 0;
}
