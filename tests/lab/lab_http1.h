/* SPDX-License-Identifier: BSD-3-Clause
 * lab_http1.h - the HTTP/1.1 that comes before an upgrade
 */
#ifndef TESTS_LAB_LAB_HTTP1_H
#define TESTS_LAB_LAB_HTTP1_H

#include <stdbool.h>

#include "core/base/http1.h"
#include "tests/lab/lab_stream.h"

bool lab_http1_is(const struct ts_http1_head *req, const char *method);
/* The target without its query equals path, or lies below path + "/". */
bool lab_http1_path_is(const struct ts_http1_head *req, const char *path);
bool lab_http1_path_below(const struct ts_http1_head *req, const char *path);
/* One whole answer; the connection then closes. extra: header lines with
 * their line ends, or NULL. */
void lab_http1_respond(struct lab_stream *stream, int status, const char *type,
		       const char *extra, const char *body);

#endif
