/* SPDX-License-Identifier: BSD-3-Clause
 * local_caller.h - what the other end of a LocalAPI connection may do
 */
#ifndef CORE_ENGINE_LOCAL_CALLER_H
#define CORE_ENGINE_LOCAL_CALLER_H

#include <stdbool.h>

/* fd: a connected Unix socket. Root, our own user, and the operator (a name of
 * /etc/passwd, or a uid; NULL: none) may change things; who may read is the
 * business of the socket's mode. */
bool local_caller_may_write(int fd, const char *operator_user);
/* Root or our own user: files and sockets that this process can open are no
 * secret to them. */
bool local_caller_is_owner(int fd);

/* Is it this user (a name or a number)? NULL or "": nobody is. */
bool local_caller_is(int fd, const char *user);

#endif
