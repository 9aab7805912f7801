/* SPDX-License-Identifier: BSD-3-Clause
 * held_sweep.c - does anybody but us still have these sockets open?
 *
 * The duplicate that keeps a held socket's port also keeps the socket alive
 * when its program closes it or dies, and no event tells. /proc does: the
 * socket's inode is gone from every fd table but ours. First the process that
 * sent CONNECT is looked at; only what is not there any more is looked for
 * everywhere, since a child may have inherited it. Processes that we may not
 * look into count as having nothing, but when it is the sender itself, all of
 * its sockets count as held.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/host/host_internal.h"

/* "socket:[123]" -> 123, anything else -> 0. */
static uint64_t socket_inode(int dir_fd, const char *name)
{
	char target[64];
	unsigned long long inode;
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	if (len <= 0)
		return 0;
	target[len] = '\0';
	return sscanf(target, "socket:[%llu]", &inode) == 1 ? inode : 0;
}

static void found(struct ts_key_map *by_inode, uint64_t inode)
{
	struct ts_held *held = ts_key_map_take(by_inode, &inode);

	if (held)
		held->is_held = true;
}

/* In our own process each socket shows once for the duplicate; the program's
 * (when it is the same process) is the second. */
static void found_in_own(struct ts_key_map *by_inode, struct ts_key_map *seen,
			 uint64_t inode)
{
	struct ts_held *held = ts_key_map_get(by_inode, &inode);

	if (!held || held->is_elsewhere)
		return;
	if (ts_key_map_get(seen, &inode))
		found(by_inode, inode);
	else if (ts_key_map_put(seen, &inode, held))
		found(by_inode, inode); /* out of memory: cannot be known */
}

static DIR *open_dir_of(pid_t pid, const char *what)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	return opendir(path);
}

/* A process whose first thread has ended shows no fds, though its other
 * threads have them all. */
static bool has_threads(pid_t pid)
{
	DIR *dir = open_dir_of(pid, "task");
	const struct dirent *entry;
	int count = 0;

	if (!dir)
		return false;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count > 1;
}

/* Is the duplicate among those that /proc shows for pid? A thread of a program
 * that has descriptors of its own is not what /proc shows. */
static bool has_duplicates(const struct ts_host *host, pid_t pid)
{
	return pid == getpid() && (!host->in_process || host->shares_files);
}

/* 0, or -errno when pid's fds cannot be read. */
static int look_into(const struct ts_host *host, pid_t pid,
		     struct ts_key_map *by_inode)
{
	struct ts_key_map seen;
	DIR *dir = open_dir_of(pid, "fd");
	const struct dirent *entry;
	bool is_empty = true;

	if (!dir)
		return -errno;
	ts_key_map_init(&seen, sizeof(uint64_t), by_inode->seed);
	while (by_inode->len > 0 && (entry = readdir(dir))) {
		uint64_t inode = socket_inode(dirfd(dir), entry->d_name);

		is_empty &= entry->d_name[0] == '.';
		if (inode == 0)
			continue;
		if (has_duplicates(host, pid))
			found_in_own(by_inode, &seen, inode);
		else
			found(by_inode, inode);
	}
	closedir(dir);
	ts_key_map_deinit(&seen);
	return is_empty && has_threads(pid) ? -EACCES : 0;
}

/* Everything that pid sent, when pid is not to be looked into. */
static void assume_held(struct ts_held *held, size_t count, pid_t pid,
			struct ts_key_map *by_inode)
{
	for (size_t i = 0; i < count; i++)
		if (held[i].pid == pid)
			found(by_inode, held[i].inode);
}

static void look_into_senders(const struct ts_host *host, struct ts_held *held,
			      size_t count, struct ts_key_map *by_inode)
{
	for (size_t i = 0; i < count && by_inode->len > 0; i++) {
		int err;

		if (i > 0 && held[i].pid == held[i - 1].pid)
			continue;
		if (held[i].is_held)
			continue;
		err = look_into(host, held[i].pid, by_inode);
		if (err && err != -ENOENT && err != -ESRCH)
			assume_held(held, count, held[i].pid, by_inode);
	}
}

static void look_into_all(const struct ts_host *host, struct ts_held *held,
			  size_t count, struct ts_key_map *by_inode)
{
	DIR *dir = by_inode->len > 0 ? opendir("/proc") : NULL;
	const struct dirent *entry;

	if (!dir) {
		for (size_t i = 0; i < count; i++)
			found(by_inode, held[i].inode);
		return;
	}
	while (by_inode->len > 0 && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0)
			(void)look_into(host, pid, by_inode);
	}
	closedir(dir);
}

void ts_held_look(const struct ts_host *host, struct ts_held *held,
		  size_t count)
{
	struct ts_key_map by_inode;

	ts_key_map_init(&by_inode, sizeof(uint64_t), 0);
	for (size_t i = 0; i < count; i++) {
		held[i].is_held = false;
		if (ts_key_map_put(&by_inode, &held[i].inode, &held[i]))
			held[i].is_held = true;
	}
	look_into_senders(host, held, count, &by_inode);
	look_into_all(host, held, count, &by_inode);
	ts_key_map_deinit(&by_inode);
}
