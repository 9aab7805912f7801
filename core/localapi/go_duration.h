/* SPDX-License-Identifier: BSD-3-Clause
 * go_duration.h - lengths of time as Go writes them: "1h30m", "720h0m0s"
 */
#ifndef CORE_LOCALAPI_GO_DURATION_H
#define CORE_LOCALAPI_GO_DURATION_H

#include <stdint.h>

/* Whole seconds, a part of one counts as one. 0 or -EBADMSG (also where Go's 64
 * bits of nanoseconds would not do). */
int localapi_read_duration(const char *text, int64_t *out_s);

#endif
