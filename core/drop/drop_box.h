/* SPDX-License-Identifier: BSD-3-Clause
 * drop_box.h - the directory for files that peers send (Taildrop)
 *
 * A file is "NAME.NODE.partial" while it comes. Once it is whole it gets its
 * name, or "NAME (1)" if that is taken, and is never written again. What is
 * left of one whose sender went away stays for an hour, so that it can go on;
 * then it is deleted.
 *
 * As a box, its files wait until somebody asks for them at the LocalAPI
 * (`tailscale file get`). In direct mode the directory is the user's, and files
 * are theirs as soon as they are whole: then nothing waits.
 *
 * Calls do file I/O on the loop's thread, at most a block at once.
 * Source: feature/taildrop/{send,retrieve,delete,fileops_fs}.go
 */
#ifndef CORE_DROP_DROP_BOX_H
#define CORE_DROP_DROP_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/drop/drop_name.h"
#include "core/loop/loop.h"

struct ts_drop_box;

enum { TS_DROP_FILES_MAX = 10000 }; /* that a list has */

struct ts_drop_file {
	char *name;
	uint64_t size;
};

/* A file that comes. */
struct ts_drop_in {
	struct ts_drop_box *box; /* NULL: it has been taken away */
	struct ts_drop_in *next, **pprev;
	char name[TS_DROP_NAME_CAP];
	char partial[TS_DROP_NAME_CAP];
	int64_t started_unix;
	int64_t declared; /* bytes that are to come; -1: unknown */
	uint64_t offset;  /* of the first one */
	uint64_t received;
	uint64_t told_ms; /* when watchers heard of it last */
	int fd;
	/* Towards its name, once it is whole: compared with what has it. */
	char final[TS_DROP_NAME_CAP];
	int other_fd; /* -1: nothing is compared */
	uint64_t compared;
	unsigned tries;
	bool is_done;
};

/* changed(ctx) is told of files that come, and that wait. NULL: no memory. */
struct ts_drop_box *ts_drop_box_new(struct ts_loop *loop,
				    void (*changed)(void *ctx), void *ctx);
void ts_drop_box_free(struct ts_drop_box *box);
/* The directory, which is made with the first file; NULL: there is none, and
 * nothing can be received. What comes for another one is given up. 0, -ENOMEM.
 */
int ts_drop_box_set_dir(struct ts_drop_box *box, const char *dir,
			bool is_direct);
bool ts_drop_box_has_dir(const struct ts_drop_box *box);
bool ts_drop_box_is_direct(const struct ts_drop_box *box);

/* -- what is whole -------------------------------------------------------- */
/* Sorted by name; freed by ts_drop_files_free(). 0 or -errno. */
int ts_drop_box_waiting(struct ts_drop_box *box, struct ts_drop_file **out,
			size_t *count);
bool ts_drop_box_has_waiting(const struct ts_drop_box *box);
/* 0: *fd is the caller's. -EINVAL: no file's name; or -errno. */
int ts_drop_box_open_file(struct ts_drop_box *box, const char *name, int *fd,
			  uint64_t *size);
int ts_drop_box_delete(struct ts_drop_box *box, const char *name);

/* -- what is not ---------------------------------------------------------- */
int ts_drop_box_partials(struct ts_drop_box *box, const char *node,
			 struct ts_drop_file **out, size_t *count);
/* -ENOENT: there is nothing of it. */
int ts_drop_box_open_partial(struct ts_drop_box *box, const char *name,
			     const char *node, int *fd);
void ts_drop_files_free(struct ts_drop_file *files, size_t count);
/* The files that come now. */
const struct ts_drop_in *ts_drop_box_first_in(const struct ts_drop_box *box);

/* -- drop_in.c: one that comes -------------------------------------------- */
/* length: -1 unknown. -EINVAL: its name; -EEXIST: it comes already; -ERANGE:
 * there is less of it than offset; -ENOSPC; -ENOENT: no directory; -ENOMEM. */
int ts_drop_in_open(struct ts_drop_box *box, const char *name,
		    const char *node, uint64_t offset, int64_t length,
		    struct ts_drop_in **out);
int ts_drop_in_write(struct ts_drop_in *in, const void *data, size_t len);
/* All of it is there. 0: it has its name. -EAGAIN: call again, soon: it is
 * compared with one of the same name and length. */
int ts_drop_in_finish(struct ts_drop_in *in);
/* One that is not finished stays as it is for an hour; but not where the disk
 * is full (is_useless), as others need the room. */
void ts_drop_in_close(struct ts_drop_in *in, bool is_useless);

/* -- between the two ------------------------------------------------------ */
/* The directory, made if it is not there; or -errno. */
int ts_drop_box_open_dir(const struct ts_drop_box *box);
void ts_drop_box_add(struct ts_drop_box *box, struct ts_drop_in *in);
/* was_whole: a file waits that did not. */
void ts_drop_box_remove(struct ts_drop_in *in, bool was_whole);
void ts_drop_box_tell(struct ts_drop_box *box);
uint64_t ts_drop_box_now_ms(const struct ts_drop_box *box);

#endif
