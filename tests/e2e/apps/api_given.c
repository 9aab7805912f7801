/* SPDX-License-Identifier: BSD-3-Clause
 * api_given.c - what a program does itself: the log, and the state's store
 *
 *	api_given URL KEY log      lines, by level and thread; no secrets
 *	api_given URL KEY refused  what a user is told of a key that is none
 *	api_given URL KEY store    a node that comes back from it
 *	api_given URL KEY errors   a store that fails, at once or later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "api_check.h"

enum { LINE_CAP = 2048 };

/* -- the log -------------------------------------------------------------- */

struct heard {
	pthread_mutex_t lock;
	int lines, by_level[4];
	char last[LINE_CAP];
	int fd; /* the program's own file */
	struct tsnet *ts;
};

static void check_thread(void)
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	CHECK(NULL, strcmp(name, "tsnet-calls") == 0);
}

static void hear(void *ctx, int level, const char *line)
{
	struct heard *h = ctx;

	check_thread();
	CHECK(NULL, level >= TSNET_LOG_ERROR && level <= TSNET_LOG_DEBUG);
	CHECK(NULL, !strchr(line, '\n') && !strstr(line, key));
	CHECK(NULL, dprintf(h->fd, "%d %s\n", level, line) > 0);
	pthread_mutex_lock(&h->lock);
	if (h->ts && h->lines == 0) /* it would wait for itself */
		CHECK_CODE(h->ts, -EDEADLK, tsnet_up(h->ts, 1));
	h->lines++;
	h->by_level[level]++;
	snprintf(h->last, sizeof(h->last), "%s", line);
	pthread_mutex_unlock(&h->lock);
}

static void wait_for(struct heard *h, const char *text)
{
	int found = 0;

	for (int i = 0; !found && i < UP_S * 100; i++) {
		pthread_mutex_lock(&h->lock);
		found = strstr(h->last, text) != NULL;
		pthread_mutex_unlock(&h->lock);
		if (!found)
			usleep(10 * 1000);
	}
	if (!found)
		fprintf(stderr, "last was: %s\n", h->last);
	CHECK(NULL, found);
}

static void hear_all(const char *name, struct heard *all, struct heard *user,
		     struct tsnet *ts)
{
	pthread_mutex_init(&all->lock, NULL);
	pthread_mutex_init(&user->lock, NULL);
	all->fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(NULL, all->fd >= 0);
	user->fd = all->fd;
	CHECK_CODE(ts, 0, tsnet_set_log(ts, hear, all));
	CHECK_CODE(ts, 0, tsnet_set_user_log(ts, hear, user));
	CHECK_CODE(ts, 0, tsnet_set(ts, "log_level", "debug"));
}

static void log_lines(void)
{
	struct tsnet *a = new_server("alpha", key);
	struct heard all = {.fd = -1, .ts = a}, user = {.fd = -1};

	hear_all("lines", &all, &user, a);
	CHECK_CODE(a, 0, tsnet_up(a, UP_S));
	wait_for(&user, "the node is running: 100.");
	CHECK_CODE(a, -EBUSY, tsnet_set_log(a, NULL, NULL));
	CHECK_CODE(a, -EBUSY, tsnet_set_user_log(a, NULL, NULL));
	tsnet_close(a);
	/* nothing comes after it, and what was said is there */
	CHECK(NULL, all.by_level[TSNET_LOG_DEBUG] > 0);
	CHECK(NULL, all.by_level[TSNET_LOG_INFO] > 0);
	CHECK_CODE(NULL, 1, user.lines);
	close(all.fd);
}

static void refused(void)
{
	struct tsnet *a = new_server("alpha", "key-nobody-knows");
	struct heard all = {.fd = -1}, user = {.fd = -1};

	hear_all("lines", &all, &user, a);
	CHECK_CODE(a, -EACCES, tsnet_up(a, UP_S));
	wait_for(&user, "invalid");
	CHECK_CODE(NULL, 1, user.by_level[TSNET_LOG_ERROR]);
	tsnet_close(a);
	close(all.fd);
}

/* -- the store ------------------------------------------------------------ */

enum { ENTRIES = 16, VALUE_CAP = 16384, LONG = 20000 };

struct shelf {
	char keys[ENTRIES][64];
	char values[ENTRIES][VALUE_CAP];
	size_t lens[ENTRIES];
	int count, writes, fail_reads, fail_writes, fail_from;
};

static int find(const struct shelf *s, const char *name)
{
	for (int i = 0; i < s->count; i++)
		if (strcmp(s->keys[i], name) == 0)
			return i;
	return -1;
}

/* It says that a value is longer than it is, until there is room for that. */
static ssize_t take(void *ctx, const char *name, void *buf, size_t cap)
{
	struct shelf *s = ctx;
	int i = find(s, name);

	check_thread();
	if (s->fail_reads)
		return -EIO;
	if (i < 0)
		return -ENOENT;
	if (cap < LONG)
		return LONG;
	memcpy(buf, s->values[i], s->lens[i]);
	return (ssize_t)s->lens[i];
}

static int put(void *ctx, const char *name, const void *value, size_t len)
{
	struct shelf *s = ctx;
	int i = find(s, name);

	check_thread();
	if (++s->writes >= s->fail_from && s->fail_writes > 0) {
		s->fail_writes--;
		usleep(200 * 1000); /* most likely the server is closing */
		return -ENOSPC;
	}
	if (i < 0)
		i = s->count++;
	CHECK(NULL, i < ENTRIES && len <= VALUE_CAP &&
			    strlen(name) < sizeof(s->keys[0]));
	strcpy(s->keys[i], name);
	memcpy(s->values[i], value, len);
	s->lens[i] = len;
	return 0;
}

static int drop(void *ctx, const char *name)
{
	struct shelf *s = ctx;
	int i = find(s, name);

	if (i < 0)
		return -ENOENT;
	s->keys[i][0] = '\0';
	return 0;
}

static struct tsnet *server_of(struct shelf *shelf, const char *auth_key)
{
	struct tsnet_store store = {take, put, drop, shelf};
	struct tsnet *ts = new_server("alpha", auth_key);

	CHECK_CODE(ts, 0, tsnet_set_store(ts, &store));
	return ts;
}

static void check_kept(const struct shelf *shelf)
{
	int machine = find(shelf, "_machinekey");
	int profiles = find(shelf, "_profiles");
	int current = find(shelf, "_current-profile");

	CHECK(NULL, machine >= 0 && profiles >= 0 && current >= 0);
	CHECK(NULL, memcmp(shelf->values[machine], "privkey:", 8) == 0);
	CHECK(NULL, find(shelf, shelf->values[current]) >= 0);
}

static void store(void)
{
	static struct shelf shelf;
	struct tsnet *a = server_of(&shelf, key);
	char v4[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP], again[TSNET_ADDR_CAP];

	CHECK_CODE(a, 0, tsnet_up(a, UP_S));
	CHECK_CODE(a, 0, tsnet_ips(a, v4, v6, sizeof(v4)));
	CHECK_CODE(a, -EBUSY, tsnet_set_store(a, NULL));
	tsnet_close(a);
	check_kept(&shelf);
	CHECK(NULL, access("alpha/tailscaled.state", F_OK) != 0);
	a = server_of(&shelf, NULL); /* and needs no key */
	CHECK_CODE(a, 0, tsnet_up(a, UP_S));
	CHECK_CODE(a, 0, tsnet_ips(a, again, v6, sizeof(again)));
	CHECK(NULL, strcmp(again, v4) == 0);
	tsnet_close(a);
}

static void errors(void)
{
	static struct shelf shelf = {.fail_reads = 1};
	struct tsnet_store half = {take, NULL, drop, &shelf};
	struct tsnet *a = server_of(&shelf, key);

	CHECK_CODE(a, -EINVAL, tsnet_set_store(a, &half));
	CHECK_CODE(NULL, -EINVAL, tsnet_set_store(NULL, NULL));
	CHECK_CODE(a, -EIO, tsnet_start(a));
	CHECK_SAID(a, "the program's store: cannot read _machinekey: ");
	shelf.fail_reads = 0;
	shelf.fail_writes = 1;
	CHECK_CODE(a, -ENOSPC, tsnet_start(a));
	CHECK_SAID(a, "cannot write _machinekey: ");
	/* later ones are tried again */
	shelf.fail_writes = 1;
	shelf.fail_from = shelf.writes + 2;
	CHECK_CODE(a, 0, tsnet_up(a, UP_S));
	tsnet_close(a);
	CHECK_CODE(NULL, 0, shelf.fail_writes);
	check_kept(&shelf);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{"log", log_lines}, {"refused", refused},
		{"store", store}, {"errors", errors},
	};

	if (argc != 4)
		return 64;
	url = argv[1];
	key = argv[2];
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(argv[3], parts[i].name) != 0)
			continue;
		parts[i].run();
		printf("ok\n");
		return 0;
	}
	return 64;
}
