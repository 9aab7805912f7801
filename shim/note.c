/* SPDX-License-Identifier: BSD-3-Clause
 * note.c - words for a person, from inside someone else's program
 *
 * The program's standard error is not ours: one write(2) of one short line,
 * and none at all where fd 2 has become the program's network connection.
 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

enum { LINE_CAP = 512 };

static bool is_network_socket(int fd)
{
	int domain = shim_native_domain(fd);

	return domain == AF_INET || domain == AF_INET6;
}

__attribute__((format(printf, 1, 0))) static void say(const char *fmt,
						      va_list args)
{
	static const char prefix[] = "tsnet: ";
	char line[LINE_CAP];
	int saved_errno = errno, cancels = shim_cancel_put_off();
	size_t len = sizeof(prefix) - 1;
	int n;

	for (size_t i = 0; i < len; i++)
		line[i] = prefix[i];
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len - 1
			       ? (size_t)n
			       : sizeof(line) - len - 2;
	line[len++] = '\n';
	if (!is_network_socket(STDERR_FILENO) &&
	    write(STDERR_FILENO, line, len) < 0)
		len = 0; /* nobody to tell */
	shim_cancel_set(cancels);
	errno = saved_errno;
}

void shim_note(const char *fmt, ...)
{
	va_list args;

	if (!shim.is_debug)
		return;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

void shim_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}
