/* SPDX-License-Identifier: BSD-3-Clause
 * shim_host.c - a node inside the program: LD_PRELOAD without tsrun
 *
 * libtsnet_shim.so loads this library with dlopen on the first tailnet call
 * and asks for a host. The first process of a state directory runs the node
 * on a thread of its own (engine_thread.c); a later one finds the lock taken
 * and is sent to that process's broker. At exit of the process what programs
 * wrote is delivered, bounded, and an ephemeral node leaves.
 *
 * The program and the node share one libcrypto, and a program may clean it up
 * before our destructor runs, as BIND's tools do at their end: a node that
 * talks TLS at that moment would find its locks gone. So the node ends when
 * libcrypto says that it is about to, and no other is started after that.
 */
#include <dlfcn.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/config_load.h"
#include "core/engine/engine_thread.h"
#include "core/engine/shim_host.h"

/* The one node of this process that the shim asked for. Written under the
 * lock, read by the exit handler. */
static struct {
	pthread_mutex_t lock;
	struct ts_engine_thread host;
	pid_t pid; /* a fork's copy is not the host */
	bool is_over; /* libcrypto has cleaned up */
} shim_host = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Tells the shim's hooks to let this thread through. RTLD_DEEPBIND does the
 * same where it is in force. */
static void mark_engine_thread(int on)
{
	void (*mark)(int on) =
		(void (*)(int))dlsym(RTLD_DEFAULT, "tsnet_shim_engine_thread");

	if (mark)
		mark(on);
}

static void mark_this_thread(void)
{
	mark_engine_thread(1);
}

/* Of the threads that were there only the one that forked is in the child.
 * The directory's lock is an flock, which a fork shares: a child that kept the
 * descriptor would keep the directory locked after its parent has ended. */
static void forget_in_child(void)
{
	if (shim_host.host.engine && shim_host.host.shares_files)
		ts_engine_disown(shim_host.host.engine);
	shim_host.host.engine = NULL;
	pthread_mutex_init(&shim_host.lock, NULL);
}

/* At exit(): drain and leave. Not run by _exit or in a forked child. */
__attribute__((destructor)) static void stop_at_exit(void)
{
	/* vfork and raw clone do not run the fork handler. */
	if (shim_host.host.engine && shim_host.pid == getpid())
		ts_engine_thread_close(&shim_host.host);
}

static void stop_before_libcrypto(void)
{
	pthread_mutex_lock(&shim_host.lock);
	stop_at_exit();
	shim_host.is_over = true;
	pthread_mutex_unlock(&shim_host.lock);
}

static void watch_process(void)
{
	pthread_atfork(NULL, NULL, forget_in_child);
	OPENSSL_atexit(stop_before_libcrypto);
}

/* The names of the broker: of this process's engine, or of the process that
 * holds the state directory's lock. */
static int find_or_open(char *path, size_t path_cap, char *abstract,
			size_t abstract_cap, char err[static 256])
{
	struct ts_config config;
	char *state_dir = NULL;
	int code = 0;

	if (shim_host.is_over) {
		snprintf(err, 256, "the process is about to end");
		return -ESHUTDOWN;
	}
	if (!shim_host.host.engine) {
		code = config_load_from_environment(&config, err);
		if (code)
			return code;
		state_dir = config.state_dir ? strdup(config.state_dir) : NULL;
		code = ts_engine_thread_open(&shim_host.host, &config,
					     mark_this_thread, NULL, NULL,
					     err);
		shim_host.pid = getpid();
	}
	if (code == -EWOULDBLOCK && state_dir) {
		snprintf(path, path_cap, "%s/broker.sock", state_dir);
		snprintf(abstract, abstract_cap, "%s", "");
		code = 0;
	} else if (!code) {
		snprintf(path, path_cap, "%s",
			 ts_engine_broker_path(shim_host.host.engine));
		snprintf(abstract, abstract_cap, "%s",
			 ts_engine_broker_abstract(shim_host.host.engine));
	}
	free(state_dir);
	return code;
}

int tsnet_shim_host_start(char *broker_path, size_t path_cap,
			  char *broker_abstract, size_t abstract_cap,
			  char *err, size_t err_cap)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char why[256] = "";
	int code, cancel;

	/* The program's thread may be cancelled in its connect(), but not in
	 * here, where it has locks. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	mark_engine_thread(1);
	pthread_once(&once, watch_process);
	pthread_mutex_lock(&shim_host.lock);
	code = find_or_open(broker_path, path_cap, broker_abstract,
			    abstract_cap, why);
	pthread_mutex_unlock(&shim_host.lock);
	mark_engine_thread(0);
	pthread_setcancelstate(cancel, NULL);
	snprintf(err, err_cap, "%s", why);
	return code;
}
