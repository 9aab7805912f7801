/* SPDX-License-Identifier: BSD-3-Clause
 * log_json.h - a line of the log as a JSON object, for programs that read it
 */
#ifndef CORE_BASE_LOG_JSON_H
#define CORE_BASE_LOG_JSON_H

#include <stddef.h>
#include <time.h>

#include "core/base/log.h"

/* {"time":"2026-01-02T03:04:05.678Z","level":"warn","component":"derp-7",
 *  "message":"..."} and a newline; component is "" where the line has none.
 * These keys, in this order, will stay. What is no UTF-8 becomes U+FFFD. The
 * length; what does not fit is cut off the message. cap: at least
 * TS_LOG_JSON_MIN. */
enum { TS_LOG_JSON_MIN = 256 };
size_t ts_log_write_json(char *out, size_t cap, const struct timespec *when,
			 enum ts_log_level level, const char *line);
/* "2026-01-02T03:04:05.678Z" */
enum { TS_LOG_TIME_CAP = 32 };
char *ts_log_format_time(const struct timespec *when,
			 char out[static TS_LOG_TIME_CAP]);
const char *ts_log_level_name(enum ts_log_level level);

#endif
