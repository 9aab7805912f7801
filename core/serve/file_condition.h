/* SPDX-License-Identifier: BSD-3-Clause
 * file_condition.h - what a client wants of a file only when it has changed
 *
 * Of files without an entity tag, as net/http's file server has them: by date,
 * and "*" for any. Source: RFC 9110 section 13, net/http/fs.go
 */
#ifndef CORE_SERVE_FILE_CONDITION_H
#define CORE_SERVE_FILE_CONDITION_H

#include <stdbool.h>
#include <time.h>

#include "core/base/http1.h"

/* A file that was never changed (the epoch) is as one whose time nobody knows.
 */
static inline bool ts_file_has_time(time_t modified)
{
	return modified > 0;
}
/* Of GET and HEAD: 200: go on; 304, 412. */
int ts_file_condition(const struct ts_http1_head *head, time_t modified);
/* Is Range to be looked at (If-Range)? */
bool ts_file_range_counts(const struct ts_http1_head *head, time_t modified);

#endif
