/* SPDX-License-Identifier: BSD-3-Clause
 * environment.c - what tsrun, or the person who set LD_PRELOAD, told us
 *
 * Read in a constructor, because programs change their environment: sshd and
 * sudo clear it, postgres writes its title over it. The constructor only looks
 * at memory - no file, socket, thread, allocation or output - and a hook that
 * is called even earlier does the same work itself.
 *
 *   TSNET_BROKER, TSNET_BROKER_ABSTRACT   a host runs elsewhere: use it
 *   TSNET_NODE                            one of its nodes, for all we do
 *   TS_AUTHKEY, TS_AUTH_KEY, TS_CLIENT_SECRET, TS_CLIENT_ID, TSNET_...
 *                                         a node was asked for
 *   TSNET_LISTEN, TSNET_SUFFIX            needed before a host can tell
 *   TSNET_EXIT_NODE, TSNET_SHIM_EXIT_NODE (tsrun's)   all is the tailnet's
 *   TSNET_SHIM_DEBUG=1                    say on stderr what was decided
 *   TSNET_NOTIFY=1                        the host watches static programs
 *   TSNET_FOLLOW_EXEC=no                  exec_environment.c stays out
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/broker/notify_abi.h"
#include "shim/exec.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

struct shim shim;

/* initial-exec: a dynamic model would allocate at the first touch. */
static __thread int is_engine_thread
	__attribute__((tls_model("initial-exec")));

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

/* A name that does not fit is none: a cut one would be another's. */
static void copy_env(const char *name, char *out, size_t cap)
{
	const char *value = getenv(name);

	if (value && strlen(value) < cap)
		memcpy(out, value, strlen(value) + 1);
}

/* Of those that ask for a node: names whose value is not empty. */
static bool has_key_variable(void)
{
	static const char names[] = "TS_AUTHKEY\0TS_AUTH_KEY\0TS_CLIENT_ID\0"
				    "TS_CLIENT_SECRET\0";
	const char *name = names;

	while (*name && !is_set(name))
		name += strlen(name) + 1;
	return *name;
}

static bool has_node_variable(void)
{
	static const char shim_debug[] = "TSNET_SHIM_DEBUG=";
	static const char follow_exec[] = "TSNET_FOLLOW_EXEC=";

	for (char **env = environ; *env; env++)
		if (strncmp(*env, "TSNET_", 6) == 0 &&
		    strncmp(*env, shim_debug, sizeof(shim_debug) - 1) != 0 &&
		    strncmp(*env, follow_exec, sizeof(follow_exec) - 1) != 0)
			return true;
	return has_key_variable();
}

static void read_listen_mode(void)
{
	static const char modes[][8] = { /* pointers would be relocated */
		[TS_LISTEN_BOTH] = "both",
		[TS_LISTEN_TAILNET] = "tailnet",
		[TS_LISTEN_HOST] = "host",
	};
	const char *value = getenv("TSNET_LISTEN");

	for (uint8_t i = 0; value && i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(value, modes[i]) == 0) {
			shim.listen_mode = i;
			shim.listen_is_known = true;
		}
	}
}

static void read_node(void)
{
	const char *value = getenv("TSNET_NODE");

	for (size_t i = 0; value && value[i] && i < sizeof(shim.node) - 1; i++)
		shim.node[i] = value[i];
}

static void read_broker(void)
{
	struct shim_broker *broker = &shim.brokers[0];

	shim.is_hosted = is_set("TSNET_BROKER") ||
			 is_set("TSNET_BROKER_ABSTRACT");
	if (!shim.is_hosted)
		return;
	copy_env("TSNET_BROKER", broker->path, sizeof(broker->path));
	copy_env("TSNET_BROKER_ABSTRACT", broker->abstract,
		 sizeof(broker->abstract));
	shim.broker_count = 1;
	atomic_store(&shim.broker, broker);
}

/* Under a seccomp filter of this very host it does for us, by the system
 * calls themselves, what the hooks of sockets would do. */
static void read_notify(void)
{
	const struct shim_broker *broker = &shim.brokers[0];
	uint32_t id = ts_notify_host_id(broker->abstract, broker->path);
	int saved_errno = errno;

	shim.is_notified = shim.is_hosted &&
			   libc.getsockopt(-1, TS_NOTIFY_PROBE_LEVEL, (int)id,
					   NULL, NULL) != 0 &&
			   errno == TS_NOTIFY_PROBE_ERRNO;
	errno = saved_errno;
}

void shim_read_environment(void)
{
	if (!environ || atomic_load_explicit(&shim.environment,
					     memory_order_acquire))
		return;
	shim.is_debug = is_set("TSNET_SHIM_DEBUG");
	shim.is_configured = has_node_variable();
	shim.has_notify = is_set("TSNET_NOTIFY");
	shim.has_exit_node = is_set("TSNET_EXIT_NODE") ||
			     is_set("TSNET_SHIM_EXIT_NODE");
	copy_env("TSNET_SUFFIX", shim.suffix, sizeof(shim.suffix));
	read_node();
	read_listen_mode();
	read_broker();
	read_notify();
	atomic_store_explicit(&shim.environment, SHIM_ENV_READ,
			      memory_order_release);
}

__attribute__((constructor)) static void start(void)
{
	shim_libc_ready();
	shim_read_environment();
	shim_exec_read_environment();
}

bool shim_is_engine_thread(void)
{
	return is_engine_thread || shim.is_notified;
}

bool shim_resolves_natively(void)
{
	return is_engine_thread;
}

int shim_mark_engine_thread(int on)
{
	int was = is_engine_thread;

	is_engine_thread = on;
	return was;
}

void hook_engine_thread(int on)
{
	shim_mark_engine_thread(on);
}
