/* SPDX-License-Identifier: BSD-3-Clause
 * log.h - one line per event, to one sink
 *
 * Form: "<object>-<id>: what, numbers with units: reason". warn: a person may
 * act; info: once per change; debug: per event. The level and the sink are
 * written once at start; the default is warn to stderr. Never pass secrets.
 * Who wants to see more for a while holds debug: then lines of all levels reach
 * the sink, which decides by the base level what it wants of them.
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum ts_log_level {
	TS_LOG_ERROR,
	TS_LOG_WARN,
	TS_LOG_INFO,
	TS_LOG_DEBUG,
	TS_LOG_OFF = -1, /* below everything */
};

enum ts_log_format { TS_LOG_FORMAT_TEXT, TS_LOG_FORMAT_JSON };

/* line: one message without newline. Called from any thread. */
typedef void (*ts_log_sink_fn)(void *ctx, enum ts_log_level level,
			       const char *line);

void ts_log_set_level(enum ts_log_level level);
enum ts_log_level ts_log_get_level(void); /* what reaches the sink */
enum ts_log_level ts_log_base_level(void); /* what was set */
/* Any thread, any number of times; each is to be released. */
void ts_log_hold_debug(void);
void ts_log_release_debug(void);
/* NULL restores the stderr sink. */
void ts_log_set_sink(ts_log_sink_fn sink, void *ctx);
/* "error", "warn", "info", "debug", "off" -> 0, else -EINVAL */
int ts_log_parse_level(const char *text, enum ts_log_level *out);
void ts_log(enum ts_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) ts_log(TS_LOG_ERROR, __VA_ARGS__)
#define log_warn(...) ts_log(TS_LOG_WARN, __VA_ARGS__)
#define log_info(...) ts_log(TS_LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                         \
	do {                                                                   \
		if (ts_log_get_level() >= TS_LOG_DEBUG)                        \
			ts_log(TS_LOG_DEBUG, __VA_ARGS__);                     \
	} while (0)

/* A token bucket for lines that a stranger can cause: one line a second,
 * burst 5. Zero-initialise. now_ms is the loop's clock. */
struct ts_log_limit {
	uint64_t last_ms;
	unsigned spent;
};
bool ts_log_allowed(struct ts_log_limit *limit, uint64_t now_ms);

#endif
