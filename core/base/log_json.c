/* SPDX-License-Identifier: BSD-3-Clause
 * log_json.c - a line of the log as a JSON object, for programs that read it
 *
 * Written by hand, as core/base has no library: a string needs few escapes.
 * The component is what stands before the first ": " of a line, if that is one
 * word ("derp-7", "node-web"), as log.h has it.
 */
#include "core/base/log_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clean_text.h"

enum { COMPONENT_MAX = 80, TAIL_LEN = sizeof("\"}\n") };

const char *ts_log_level_name(enum ts_log_level level)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	return level >= TS_LOG_ERROR && level <= TS_LOG_DEBUG ? names[level]
							      : "off";
}

char *ts_log_format_time(const struct timespec *when,
			 char out[static TS_LOG_TIME_CAP])
{
	struct tm tm;
	size_t len;

	gmtime_r(&when->tv_sec, &tm);
	len = strftime(out, TS_LOG_TIME_CAP, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + len, TS_LOG_TIME_CAP - len, ".%03dZ",
		 (int)(when->tv_nsec / 1000000) % 1000);
	return out;
}

/* Bytes of the component, none of which needs an escape; 0: none. */
static size_t component_len(const char *line)
{
	const char *end = strstr(line, ": ");
	size_t len = end ? (size_t)(end - line) : 0;

	if (len > COMPONENT_MAX)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (line[i] <= ' ' || line[i] >= 0x7f ||
		    strchr("\"\\", line[i]))
			return 0;
	return len;
}

struct text {
	char *at;
	size_t room, len;
};

/* All or nothing. */
static bool put(struct text *t, const char *bytes, size_t len)
{
	if (len > t->room)
		return false;
	memcpy(t->at + t->len, bytes, len);
	t->len += len;
	t->room -= len;
	return true;
}

static bool put_character(struct text *t, const unsigned char *c, size_t len)
{
	char escape[8];

	if (len == 0)
		return put(t, "\\ufffd", 6);
	if (*c == '"' || *c == '\\') {
		escape[0] = '\\';
		escape[1] = (char)*c;
		return put(t, escape, 2);
	}
	if (*c < ' ') {
		snprintf(escape, sizeof(escape), "\\u%04x", *c);
		return put(t, escape, 6);
	}
	return put(t, (const char *)c, len);
}

static void put_escaped(struct text *t, const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text;

	while (len > 0) {
		size_t n = ts_utf8_len(at, len);
		size_t step = n ? n : 1;

		if (!put_character(t, at, n))
			return;
		at += step;
		len -= step;
	}
}

size_t ts_log_write_json(char *out, size_t cap, const struct timespec *when,
			 enum ts_log_level level, const char *line)
{
	size_t name_len = component_len(line);
	const char *message = line + (name_len ? name_len + 2 : 0);
	struct text t = {.at = out, .room = cap - TAIL_LEN};
	char stamp[TS_LOG_TIME_CAP], head[TS_LOG_TIME_CAP + 64];
	int len = snprintf(head, sizeof(head),
			   "{\"time\":\"%s\",\"level\":\"%s\",\"component\":\"",
			   ts_log_format_time(when, stamp),
			   ts_log_level_name(level));

	put(&t, head, (size_t)len);
	put(&t, line, name_len);
	put(&t, "\",\"message\":\"", 13);
	put_escaped(&t, message, strlen(message));
	t.room += TAIL_LEN;
	put(&t, "\"}\n", 3);
	return t.len;
}
