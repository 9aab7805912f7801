/* SPDX-License-Identifier: BSD-3-Clause
 * err.h - errors are negative errno values inside, sentences at the edge
 *
 * -EBADMSG malformed, -EPROTO well-formed at the wrong time, -EACCES failed
 * authentication, -EMSGSIZE over a limit, -ENOBUFS output too small, -EAGAIN
 * need more, -ENOMEM; shim and host add what applications expect.
 */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

/* Text for a negative errno; static storage, thread-safe. */
const char *ts_strerror(int err);

#define ARRAY_LEN(x) (sizeof(x) / sizeof((x)[0]))

#endif
