/* SPDX-License-Identifier: BSD-3-Clause
 * message.h - struct msghdr and struct cmsghdr of programs
 *
 * POSIX makes lengths in there int or socklen_t, the kernel size_t. glibc takes
 * the kernel's side; musl has the half and a padding that its programs leave as
 * it is, so there the upper half of what we see as size_t means nothing. Its own
 * sendmsg cleans a copy. A hook that looks into a program's message reads these
 * lengths here.
 */
#ifndef SHIM_MESSAGE_H
#define SHIM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shim/libc_table.h"

static inline size_t shim_message_length(size_t len)
{
	return libc.is_musl ? (uint32_t)len : len;
}

static inline size_t shim_message_iov_count(const struct msghdr *msg)
{
	return shim_message_length((size_t)msg->msg_iovlen);
}

static inline size_t shim_message_control_len(const struct msghdr *msg)
{
	return shim_message_length((size_t)msg->msg_controllen);
}

static inline size_t shim_control_len(const struct cmsghdr *cmsg)
{
	return shim_message_length((size_t)cmsg->cmsg_len);
}

#endif
