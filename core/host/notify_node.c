/* SPDX-License-Identifier: BSD-3-Clause
 * notify_node.c - which node a program that cannot be preloaded has named
 *
 * TSNET_NODE of the environment that it was started with, as the kernel still
 * has it. Programs of several nodes may live in one tree under one filter, so
 * it is looked up for the call that is being served, and only when something
 * new begins for it: a connection, a bind, a first datagram.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/host/notify.h"

enum {
	CHUNK = 4096,
	ENVIRONMENT_MAX = 8 * 1024 * 1024, /* the kernel's: a quarter of it */
	VALUE_CAP = 72,                    /* longer ones are no node's */
};

static const char VARIABLE[] = "TSNET_NODE=";

struct search {
	char text[sizeof(VARIABLE) - 1 + VALUE_CAP]; /* of one entry */
	size_t len;
};

/* A whole entry is there. */
static bool is_it(struct search *s)
{
	s->text[s->len] = '\0';
	return strncmp(s->text, VARIABLE, sizeof(VARIABLE) - 1) == 0;
}

/* true: found. */
static bool feed(struct search *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i]) {
			if (s->len < sizeof(s->text) - 1)
				s->text[s->len++] = data[i];
			continue;
		}
		if (is_it(s))
			return true;
		s->len = 0;
	}
	return false;
}

/* "": it has none. */
static int read_variable(pid_t tid, char out[static VALUE_CAP])
{
	char path[40], data[CHUNK];
	struct search s = {.len = 0};
	bool is_found = false;
	size_t total = 0;
	ssize_t n = 1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (!is_found && n > 0 && total < ENVIRONMENT_MAX) {
		n = read(fd, data, sizeof(data));
		if (n > 0)
			is_found = feed(&s, data, (size_t)n);
		total += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	*out = '\0';
	if (is_found || is_it(&s)) /* the last may have no end */
		memcpy(out, s.text + sizeof(VARIABLE) - 1, VALUE_CAP);
	return n < 0 ? -EACCES : 0;
}

int ts_notify_node(struct ts_host *host, uint8_t *node)
{
	const struct ts_member *member;
	char name[VALUE_CAP] = "";

	*node = 0;
	if (read_variable(host->notify->caller, name))
		return -ENETDOWN; /* it may have named one */
	if (!*name)
		return 0;
	member = ts_member_named(host, name);
	if (!member)
		return -ENETDOWN;
	if (host->member_count > 1)
		*node = (uint8_t)(member->index + 1);
	return 0;
}
