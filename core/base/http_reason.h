/* SPDX-License-Identifier: BSD-3-Clause
 * http_reason.h - what statuses of HTTP are called
 */
#ifndef CORE_BASE_HTTP_REASON_H
#define CORE_BASE_HTTP_REASON_H

/* "Status" of one that has no name here. */
const char *ts_http_reason(int status);

#endif
