/* SPDX-License-Identifier: BSD-3-Clause
 * err.c - words for negative errno values
 *
 * strerrordesc_np is neither locale-dependent nor unsafe in threads, but it is
 * glibc 2.32+; sys_errlist is gone. So our own words for what we use, and the
 * number for the rest.
 */
#include "core/base/err.h"

#include <errno.h>
#include <stdio.h>

const char *ts_strerror(int err)
{
	static _Thread_local char other[32];

	switch (-err) {
	case 0:
		return "success";
	case EACCES:
		return "permission denied or authentication failed";
	case EADDRINUSE:
		return "address already in use";
	case EADDRNOTAVAIL:
		return "address not available";
	case EAFNOSUPPORT:
		return "address family not supported";
	case EAGAIN:
		return "more input is needed";
	case EBADMSG:
		return "malformed message";
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
		return "connection reset by peer";
	case EEXIST:
		return "already exists";
	case EHOSTUNREACH:
		return "no route to host";
	case EINVAL:
		return "invalid argument";
	case EIO:
		return "input/output error";
	case EISDIR:
		return "is a directory";
	case ELOOP:
		return "too many symbolic links";
	case EMFILE:
		return "too many open files";
	case EMSGSIZE:
		return "message too long";
	case ENAMETOOLONG:
		return "name too long";
	case ENETDOWN:
		return "network is down";
	case ENETUNREACH:
		return "network is unreachable";
	case ENOBUFS:
		return "no buffer space";
	case ENOENT:
		return "no such file or directory";
	case ENOMEM:
		return "out of memory";
	case ENOSPC:
		return "no space left";
	case ENOTDIR:
		return "not a directory";
	case EPERM:
		return "operation not permitted";
	case EPIPE:
		return "broken pipe";
	case EPROTO:
		return "unexpected message";
	case EROFS:
		return "read-only file system";
	case ETIMEDOUT:
		return "timed out";
	default:
		snprintf(other, sizeof(other), "error %d", -err);
		return other;
	}
}
