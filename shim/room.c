/* SPDX-License-Identifier: BSD-3-Clause
 * room.c - questions to the host when every descriptor is in use
 *
 * A connect needs no new descriptor natively, but ours asks the host over a
 * socket. With the table full, the question is asked on a thread for a moment:
 * one that shares everything with the program but its table of descriptors,
 * whose copies of a few it closes. The caller is suspended meanwhile (as by
 * vfork), so the two may use one thread's memory, errno included.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/shim.h"

enum { STACK_BYTES = 64 * 1024, ROOM = 4 };

struct errand {
	int keep_fd;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static int run(void *ctx)
{
	struct errand *errand = ctx;

	for (int fd = 0; fd <= ROOM; fd++)
		if (fd != errand->keep_fd)
			shim_close(fd);
	errand->result = errand->fn(errand->arg);
	return 0;
}

/* A handler that ran on the other thread would see the wrong table. */
static int run_elsewhere(struct errand *errand, char *stack)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD |
			  CLONE_SYSVSEM | CLONE_VFORK;
	sigset_t all, before;
	int cancels = shim_cancel_put_off(); /* nobody may leave that stack */
	int tid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	tid = clone(run, stack + STACK_BYTES, flags, errand);
	sigprocmask(SIG_SETMASK, &before, NULL);
	shim_cancel_set(cancels);
	return tid < 0 ? -EMFILE : errand->result;
}

int shim_with_room(int keep_fd, int (*fn)(void *arg), void *arg)
{
	struct errand errand = {keep_fd, fn, arg, -EMFILE};
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (stack == MAP_FAILED)
		return -EMFILE;
	err = run_elsewhere(&errand, stack);
	munmap(stack, STACK_BYTES);
	return err;
}
