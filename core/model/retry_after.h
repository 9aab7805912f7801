/* SPDX-License-Identifier: BSD-3-Clause
 * retry_after.h - the Retry-After field of an HTTP answer
 */
#ifndef CORE_MODEL_RETRY_AFTER_H
#define CORE_MODEL_RETRY_AFTER_H

#include <stdint.h>

/* Seconds from now_unix on, by a number or an HTTP date; 0 or less: it says
 * nothing, or something that is past. */
int64_t ts_retry_after_s(const char *text, int64_t now_unix);

#endif
