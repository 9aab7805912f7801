/* SPDX-License-Identifier: BSD-3-Clause
 * lab_command_send.c - the command socket's other end: tsnet-lab --command
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lab/lab_command.h"

static FILE *connect_to(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return NULL;
	}
	return fdopen(fd, "r+");
}

/* 0, or 1 when the answer is an error or none came. */
static int print_answer(FILE *conn)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len = getline(&line, &cap, conn);
	int status = len <= 0 || !strncmp(line, "{\"error\"", 8);

	if (len > 0)
		fwrite(line, 1, (size_t)len, stdout);
	free(line);
	return status;
}

int lab_command_send(const char *path, int argc, char **argv)
{
	FILE *conn = connect_to(path);
	int status;

	if (!conn) {
		fprintf(stderr, "tsnet-lab: %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (int i = 0; i < argc; i++)
		fprintf(conn, "%s%s", i ? " " : "", argv[i]);
	fputc('\n', conn);
	fflush(conn);
	status = print_answer(conn);
	fclose(conn);
	return status;
}
