/* SPDX-License-Identifier: BSD-3-Clause
 * log.c - one line per event, to one sink
 */
#include "core/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clean_text.h"

static enum ts_log_level log_level = TS_LOG_WARN;
static ts_log_sink_fn log_sink;
static void *log_ctx;

void ts_log_set_level(enum ts_log_level level)
{
	log_level = level;
}

enum ts_log_level ts_log_get_level(void)
{
	return log_level;
}

void ts_log_set_sink(ts_log_sink_fn sink, void *ctx)
{
	log_ctx = ctx;
	log_sink = sink;
}

static const struct {
	const char *name;
	enum ts_log_level level;
} levels[] = {
	{"off", TS_LOG_OFF},   {"error", TS_LOG_ERROR}, {"warn", TS_LOG_WARN},
	{"info", TS_LOG_INFO}, {"debug", TS_LOG_DEBUG},
};

int ts_log_parse_level(const char *text, enum ts_log_level *out)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*out = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

void ts_log(enum ts_log_level level, const char *fmt, ...)
{
	char line[1024];
	int saved_errno = errno;
	va_list args;

	if (level > log_level)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	ts_clean_text(line, '?'); /* it may quote a peer or a server */
	if (log_sink)
		log_sink(log_ctx, level, line);
	else
		fprintf(stderr, "tsnet: %s\n", line);
	errno = saved_errno;
}

bool ts_log_allowed(struct ts_log_limit *limit, uint64_t now_ms)
{
	enum { BURST = 5, REFILL_MS = 1000 };
	uint64_t refill = (now_ms - limit->last_ms) / REFILL_MS;

	if (refill > 0) {
		limit->spent = refill >= limit->spent
				       ? 0
				       : limit->spent - (unsigned)refill;
		limit->last_ms = now_ms;
	}
	if (limit->spent >= BURST)
		return false;
	limit->spent++;
	return true;
}
