/* SPDX-License-Identifier: BSD-3-Clause
 * host_start.c - LD_PRELOAD alone: a node in this process, or a neighbour's
 *
 * Loads libtsnet.so, which lies beside this library, and lets it decide: it
 * takes the lock of the state directory and starts the host's thread, or names
 * the broker of the process that has the lock. Its libraries stay out of the
 * program's symbol search (RTLD_LOCAL) and the program's out of theirs
 * (RTLD_DEEPBIND; sanitizers abort at it, and it would mix two allocators where
 * the program brings its own: there the mark on the thread does it alone).
 *
 * One thread at a time. The lock names its owner: a child forked while the
 * parent held it sees a process that is not itself, and a signal handler that
 * comes back here from within sees its own thread; neither waits for ever.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "shim/elf_symbols.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

enum { WAIT_MS = 2, NAME_CAP = 32, REASON_CAP = 256 };

typedef int (*start_fn)(char *broker_path, size_t path_cap,
			char *broker_abstract, size_t abstract_cap, char *err,
			size_t err_cap);

static uint64_t myself(void)
{
	return (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
}

static int lock(void)
{
	const struct timespec wait = {.tv_nsec = WAIT_MS * 1000000};
	uint64_t me = myself();

	for (;;) {
		uint64_t owner = 0;

		if (atomic_compare_exchange_strong(&shim.starting, &owner, me))
			return 0;
		if (owner == me)
			return -EDEADLK;
		if (owner >> 32 != me >> 32) {
			if (atomic_compare_exchange_strong(&shim.starting,
							   &owner, me))
				return 0;
			continue;
		}
		nanosleep(&wait, NULL);
	}
}

static void unlock(void)
{
	atomic_store(&shim.starting, 0);
}

/* The shim loads into both; what brings libraries along cannot. A build for
 * musl alone has it under the plain name. */
static const char *library_name(void)
{
#ifdef __GLIBC__
	if (libc.is_musl)
		return "libtsnet-musl.so";
#endif
	return "libtsnet.so";
}

/* Beside the shim; in room for own and NAME_CAP. */
static void library_path(const char *own, char *out)
{
	const char *slash = strrchr(own, '/');
	size_t len = slash ? (size_t)(slash + 1 - own) : 0;

	memcpy(out, own, len);
	memcpy(out + len, library_name(), strlen(library_name()) + 1);
}

#ifdef RTLD_DEEPBIND
/* What libc allocates for its callers (strdup, getdelim) comes from the
 * program's allocator: free() must be of the same. */
static bool has_other_allocator(const struct shim_dl *dl)
{
	void *libc_itself = dl->open("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	return !libc_itself ||
	       dl->sym(RTLD_DEFAULT, "malloc") !=
		       dl->sym(libc_itself, "malloc") ||
	       dl->sym(RTLD_DEFAULT, "free") != dl->sym(libc_itself, "free");
}
#endif

static int load_flags(const struct shim_dl *dl)
{
	int flags = RTLD_NOW | RTLD_LOCAL;

	(void)dl; /* musl has no RTLD_DEEPBIND: the mark alone there, too */
#ifdef RTLD_DEEPBIND
	if (!dl->sym(RTLD_DEFAULT, "__asan_init") &&
	    !dl->sym(RTLD_DEFAULT, "__tsan_init") &&
	    !dl->sym(RTLD_DEFAULT, "__msan_init") && !has_other_allocator(dl))
		flags |= RTLD_DEEPBIND;
#endif
	return flags;
}

static int load(start_fn *out, char why[static REASON_CAP])
{
	const char *own = shim_own_path();
	/* This may be a small stack; mostly the path is short. */
	char *path = alloca((own ? strlen(own) : 0) + NAME_CAP);
	struct shim_dl dl;
	int err = !own ? -ENOENT : shim_dl_ready(&dl) ? 0 : -ENOSYS;
	const char *reason = NULL;
	void *library = NULL;

	if (!err) {
		library_path(own, path);
		library = dl.open(path, load_flags(&dl));
		reason = library ? NULL : dl.error();
	}
	if (!library) {
		snprintf(why, REASON_CAP, "cannot load %s: %s",
			 library_name(), reason ? reason : ts_strerror(err));
		return -ENOENT;
	}
	*out = (start_fn)(uintptr_t)dl.sym(library, "tsnet_shim_host_start");
	if (!*out) {
		snprintf(why, REASON_CAP, "libtsnet.so is of another version");
		return -ENOENT;
	}
	return 0;
}

static int start_into(struct shim_broker *slot, char why[static REASON_CAP])
{
	start_fn start;
	int err = load(&start, why);

	if (err)
		return err;
	memset(slot, 0, sizeof(*slot));
	return start(slot->path, sizeof(slot->path), slot->abstract,
		     sizeof(slot->abstract), why, REASON_CAP);
}

static bool is_same(const struct shim_broker *a, const struct shim_broker *b)
{
	return a && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->abstract, b->abstract) == 0;
}

static int start(const struct shim_broker *dead)
{
	struct shim_broker *slot = &shim.brokers[shim.broker_count];
	char why[REASON_CAP] = "";
	int was_marked, err;

	if (shim.broker_count == SHIM_BROKERS_MAX) {
		shim_warn("the host ended for the %d. time: giving up",
			  SHIM_BROKERS_MAX);
		return -ENETDOWN;
	}
	was_marked = shim_mark_engine_thread(1);
	err = start_into(slot, why);
	shim_mark_engine_thread(was_marked);
	if (err) {
		shim_warn("no tailnet in this program: %s",
			  *why ? why : ts_strerror(err));
		return -ENETDOWN;
	}
	if (is_same(dead, slot)) /* a neighbour that does not answer yet */
		return 0;
	shim.broker_count++;
	atomic_store(&shim.broker, slot);
	return 0;
}

int shim_host_start(const struct shim_broker *dead)
{
	int cancels = shim_cancel_put_off();
	int err = lock();

	if (!err) {
		if (atomic_load(&shim.broker) == dead) /* nobody was faster */
			err = start(dead);
		unlock();
	}
	shim_cancel_set(cancels);
	return err;
}
