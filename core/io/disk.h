/* SPDX-License-Identifier: BSD-3-Clause
 * disk.h - whole files: read with a limit, write atomically
 */
#ifndef CORE_IO_DISK_H
#define CORE_IO_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* *out is heap with a spare NUL (caller wipes and frees). 0, -ENOENT,
 * -EMSGSIZE over max, or what the system said. */
int ts_disk_read(const char *path, size_t max, uint8_t **out, size_t *len);
/* Temporary file beside it, fsync, rename, fsync of the directory. */
int ts_disk_write(const char *path, const void *data, size_t len, mode_t mode);
/* Removes what writers of this path that were killed have left beside it; only
 * for who has a lock on it. */
void ts_disk_sweep_temps(const char *path);
/* Others than its owner may read it. */
bool ts_disk_is_exposed(const char *path);
/* mkdir -p with mode for what is made; 0 or negative errno. */
int ts_disk_make_dirs(const char *path, mode_t mode);
/* A lock on path (made if missing, O_CLOEXEC), by flock or, where the file
 * system has none, by fcntl: the fd, -EWOULDBLOCK when somebody else holds it
 * (*holder_pid then is the pid that wrote itself into the file, or 0), or
 * -ENOLCK where there are no locks at all. */
int ts_disk_lock(const char *path, pid_t *holder_pid);

#endif
