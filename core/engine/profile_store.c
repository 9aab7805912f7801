/* SPDX-License-Identifier: BSD-3-Clause
 * profile_store.c - the state directory: lock, keys, profile, log ID
 *
 * Layout (tsnet's, so that a directory moves between the two):
 *   tailscaled.state       keys and profile
 *   tailscaled.log.conf    the log ID that Hostinfo carries (nothing is
 *                          uploaded; servers want one)
 *   tsnet.lock             held while a process runs this node
 *   *.sock                 broker and LocalAPI
 * An ephemeral node without a named directory, and a node that finds no place
 * to write, keep all this in memory, a node in a cluster keeps its keys in a
 * Secret (state_store.h); their sockets go to a private runtime directory that
 * disappears with them.
 * Source: tsnet/tsnet.go (getState), ipn/ipnlocal/profiles.go
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "core/base/encode.h"
#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/engine/kube_store.h"
#include "core/engine/program_store.h"
#include "core/io/disk.h"
#include "core/state/profile_list.h"

#define STATE_FILE "tailscaled.state"

enum {
	LOG_CONF_MAX = 4096,
	DIR_MODE = 0700,
	FILE_MODE = 0600,
	SUN_PATH_MAX = 107,
	LONGEST_SOCKET = sizeof("/tailscaled.sock"),
};

static char *join(const char *dir, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	return path;
}

/* -- the log ID ----------------------------------------------------------- */

static bool read_log_id(struct profile_store *store)
{
	uint8_t *text = NULL;
	size_t len;
	json_t *root = NULL;
	const char *id;
	uint8_t raw[32];
	bool ok = false;

	if (store->log_id_path &&
	    ts_disk_read(store->log_id_path, LOG_CONF_MAX, &text, &len) == 0)
		root = json_loadb((const char *)text, len, 0, NULL);
	id = json_string_value(json_object_get(root, "PublicID"));
	if (id && ts_hex_decode(id, strlen(id), raw, sizeof(raw)) == 0) {
		snprintf(store->backend_log_id, ENGINE_LOG_ID_CAP, "%s", id);
		ok = true;
	}
	json_decref(root);
	free(text);
	return ok;
}

static void make_log_id(struct profile_store *store)
{
	struct ts_private_key private_id; /* clamped like X25519: upstream */
	uint8_t public_id[crypto_hash_sha256_BYTES];
	char private_hex[ENGINE_LOG_ID_CAP];
	char *text = NULL;
	int len;

	ts_private_key_generate(&private_id);
	crypto_hash_sha256(public_id, private_id.bytes, TS_KEY_LEN);
	ts_hex_encode(private_id.bytes, TS_KEY_LEN, private_hex);
	ts_hex_encode(public_id, sizeof(public_id), store->backend_log_id);
	len = asprintf(&text,
		       "{\n\t\"Collection\": \"tailnode.log.tailscale.io\",\n"
		       "\t\"PrivateID\": \"%s\",\n\t\"PublicID\": \"%s\"\n}",
		       private_hex, store->backend_log_id);
	if (len > 0 && store->log_id_path)
		ts_disk_write(store->log_id_path, text, (size_t)len,
			      FILE_MODE);
	ts_wipe(&private_id, sizeof(private_id));
	ts_wipe(private_hex, sizeof(private_hex));
	if (len > 0)
		ts_wipe_free_text(text);
}

/* -- directories ---------------------------------------------------------- */

/* A directory of our own for sockets, under the user's runtime directory or
 * /tmp; mkdtemp makes it unguessable and 0700. */
static int make_runtime_dir(struct profile_store *store)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || !*base || access(base, W_OK) != 0 ||
	    strlen(base) + sizeof("/tsnet-XXXXXX") + LONGEST_SOCKET >
		    SUN_PATH_MAX)
		base = "/tmp";
	snprintf(store->dir, sizeof(store->dir), "%s/tsnet-XXXXXX", base);
	if (!mkdtemp(store->dir))
		return -errno;
	store->dir_is_ours = true;
	return 0;
}

static int lock_dir(struct profile_store *store, const char *dir,
		    char err[static 256])
{
	char *path = join(dir, "tsnet.lock");
	pid_t holder = 0;
	int fd = path ? ts_disk_lock(path, &holder) : -ENOMEM;

	free(path);
	if (fd == -ENOLCK) {
		log_warn("state: %s is on a file system without locks: nothing "
			 "keeps a second process from using the same node",
			 dir);
		return 0;
	}
	if (fd == -EWOULDBLOCK)
		snprintf(err, 256,
			 "state directory %s is in use by process %d: give "
			 "this program its own --hostname or --state", dir,
			 (int)holder);
	else if (fd == -ELOOP)
		snprintf(err, 256, "%.150s/tsnet.lock is a link: remove it",
			 dir);
	else if (fd < 0)
		snprintf(err, 256, "cannot lock state directory %s: %s", dir,
			 ts_strerror(fd));
	if (fd < 0)
		return fd;
	store->lock_fd = fd;
	return 0;
}

/* The processes of a pod share a network namespace, and a name in it goes with
 * whoever has it. One elsewhere is found by conflict (kube_merge.c). secret:
 * with its Kubernetes namespace, as pods may share the machine's network. */
static int lock_secret(struct profile_store *store, const char *secret,
		       char err[static 256])
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	uint8_t hash[crypto_hash_sha256_BYTES];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int code = fd < 0 ? -errno : 0;

	crypto_hash_sha256(hash, (const uint8_t *)secret, strlen(secret));
	memcpy(name.sun_path + 1, "tsnet-secret/", 13);
	ts_hex_encode(hash, sizeof(hash), name.sun_path + 14);
	if (!code && bind(fd, (struct sockaddr *)&name, sizeof(name)))
		code = -errno;
	if (!code) {
		store->lock_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	if (code == -EADDRINUSE) {
		snprintf(err, 256, "Secret %.100s is in use by another process "
			 "here: give each node a Secret of its own", secret);
		return -EWOULDBLOCK;
	}
	log_warn("state: nothing keeps a second process from using the Secret "
		 "%s: %s", secret, ts_strerror(code));
	return 0;
}

static bool has_state(const char *dir)
{
	char *path = join(dir, STATE_FILE);
	bool found = path && access(path, F_OK) == 0;

	free(path);
	return found;
}

/* A node of its own, in memory, where there was none before; never in place of
 * one that has a name, addresses and rights there. */
static int go_without_dir(const struct ts_config *config, int code,
			  char err[static 256])
{
	if (has_state(config->state_dir)) {
		snprintf(err, 256, "%.100s has a node's state and is not "
			 "writable (%s): make it writable, or use mem: for a "
			 "node that is new each time", config->state_dir,
			 ts_strerror(code));
		return code;
	}
	log_warn("state: %s is not writable (%s): state stays in memory and "
		 "the node is ephemeral", config->state_dir, ts_strerror(code));
	return 0;
}

/* 1: the directory is usable; 0: keep state in memory; negative: give up. */
static int prepare_dir(struct profile_store *store,
		       struct ts_config *config, char err[static 256])
{
	int code;

	if (config->state_in_memory || !config->state_dir)
		return 0;
	code = ts_disk_make_dirs(config->state_dir, DIR_MODE);
	if (!code && access(config->state_dir, W_OK | X_OK) != 0)
		code = -errno;
	if (code == -EROFS || code == -EACCES || code == -EPERM ||
	    code == -ENOENT)
		return go_without_dir(config, code, err);
	if (code) {
		snprintf(err, 256, "cannot make state directory %s: %s",
			 config->state_dir, ts_strerror(code));
		return code;
	}
	code = lock_dir(store, config->state_dir, err);
	if (!code && ts_disk_is_open_to_others(config->state_dir))
		log_warn("state: other users may write to %s, and so take this "
			 "node over: make its mode 0700", config->state_dir);
	return code ? code : 1;
}

static int open_file(struct profile_store *store,
		     const struct ts_config *config, struct ts_loop *loop)
{
	char *path = join(config->state_dir, STATE_FILE);

	store->log_id_path = join(config->state_dir, "tailscaled.log.conf");
	if (path && store->log_id_path)
		store->kept = state_store_file(store->state, loop, path);
	free(path);
	return store->kept ? 0 : -ENOMEM;
}

static int open_secret(struct profile_store *store,
		       const struct ts_config *config, struct ts_loop *loop,
		       struct ts_http_client *http, char err[static 256])
{
	store->kept = kube_store_new(store->state, loop, http, config,
				     ts_environment(), err);
	return store->kept ? lock_secret(store, store->kept->name, err)
			   : -EINVAL;
}

/* Sockets lie beside the state, when their names are not too long there. */
static int choose_socket_dir(struct profile_store *store,
			     const struct ts_config *config, bool has_dir,
			     char err[static 256])
{
	int code;

	if (has_dir &&
	    strlen(config->state_dir) + LONGEST_SOCKET <= SUN_PATH_MAX) {
		snprintf(store->dir, sizeof(store->dir), "%s",
			 config->state_dir);
		return 0;
	}
	code = make_runtime_dir(store);
	if (code)
		snprintf(err, 256, "cannot make a directory for sockets: %s",
			 ts_strerror(code));
	return code;
}

static int open_kept(struct profile_store *store, struct ts_config *config,
		     struct ts_loop *loop, struct ts_http_client *http,
		     char err[static 256])
{
	int usable = prepare_dir(store, config, err);
	int code = usable < 0 ? usable : 0;

	if (code)
		return code;
	if (config->program && config->program->read) {
		store->kept = program_store_new(store->state, loop,
						config->program);
		code = store->kept ? 0 : -ENOMEM;
	} else if (config->kube_secret) {
		code = open_secret(store, config, loop, http, err);
	} else if (usable) {
		code = open_file(store, config, loop);
	} else {
		config->state_in_memory = true;
		config->ephemeral = true;
		store->kept = state_store_memory(store->state);
		code = store->kept ? 0 : -ENOMEM;
	}
	if (code == -ENOMEM)
		snprintf(err, 256, "out of memory");
	if (!code)
		code = state_store_load(store->kept, err);
	if (!code)
		code = choose_socket_dir(store, config, usable, err);
	return code;
}

/* -- prefs ---------------------------------------------------------------- */

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* Where none is configured, the one that this profile has logged in to. */
static const char *start_server(const struct ts_config *config,
				const struct ts_prefs *prefs)
{
	const char *own = prefs->control_url;

	return config->has_default_server && own && *own ? own
							 : config->control_url;
}

/* As tsnet does: every start writes default prefs plus its own settings; only
 * the keys live on. */
int profile_store_start_prefs(struct ts_prefs *prefs,
			      const struct ts_config *config)
{
	struct ts_prefs fresh;
	json_t *rest;

	ts_prefs_init_default(&fresh);
	free(fresh.control_url);
	free(fresh.hostname);
	fresh.control_url = copy(start_server(config, prefs));
	fresh.hostname = copy(config->hostname);
	fresh.route_all = config->accept_routes;
	fresh.corp_dns = config->accept_dns;
	fresh.shields_up = config->shields_up;
	fresh.want_running = true;
	fresh.advertise_tags = calloc(config->tag_count + 1, sizeof(char *));
	if (!fresh.advertise_tags) {
		ts_prefs_deinit(&fresh);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->tag_count; i++)
		fresh.advertise_tags[i] = copy(config->tags[i]);
	fresh.advertise_tag_count = config->tag_count;
	/* What upstream knows of its keys and we do not. */
	rest = json_object_get(prefs->unknown, "Config");
	if (rest && json_object_set(fresh.unknown, "Config", rest)) {
		ts_prefs_deinit(&fresh);
		return -ENOMEM;
	}
	fresh.routes.allow_lan = config->exit_node_allow_lan_access;
	if (ts_route_prefs_set_advertised(&fresh.routes,
					  config->advertise_routes,
					  config->advertise_route_count) ||
	    ts_route_prefs_set_exit_node(&fresh.routes, config->exit_node))
		return -ENOMEM;
	fresh.persist = prefs->persist;
	memset(&prefs->persist, 0, sizeof(prefs->persist));
	ts_prefs_deinit(prefs);
	*prefs = fresh;
	ts_wipe(&fresh.persist, sizeof(fresh.persist));
	return 0;
}

static bool nl_key_is_missing(const struct ts_prefs *prefs)
{
	static const struct ts_nl_private_key none;

	return ts_secret_equal(prefs->persist.nl_key.bytes, none.bytes,
			       sizeof(none.bytes));
}

void profile_store_complete(struct ts_prefs *prefs)
{
	if (nl_key_is_missing(prefs))
		ts_nl_key_generate(&prefs->persist.nl_key);
}

static int load_keys(struct profile_store *store,
		     const struct ts_config *config,
		     struct ts_private_key *machine_key,
		     struct ts_prefs *prefs, char err[static 256])
{
	char why[128] = "";
	bool created = false, found = false;
	int code = ts_state_machine_key(store->state, machine_key, &created,
					why);

	if (!code && !config->has_default_server)
		code = ts_profiles_choose_server(store->state,
						 config->control_url, why);
	if (!code) {
		ts_prefs_deinit(prefs);
		code = ts_state_load_profile(store->state, prefs, &found, why);
	}
	if (!code)
		code = profile_store_start_prefs(prefs, config);
	if (code) {
		snprintf(err, 256, "%s: %s", store->kept->name, why);
		return code;
	}
	profile_store_complete(prefs);
	/* The machine key is kept before the server learns of it: an auth key
	 * may be good for one login. */
	return created ? state_store_save_now(store->kept, err) : 0;
}

int profile_store_open(struct profile_store *store, struct ts_config *config,
		       struct ts_loop *loop, struct ts_http_client *http,
		       struct ts_private_key *machine_key,
		       struct ts_prefs *prefs, char err[static 256])
{
	int code;

	memset(machine_key, 0, sizeof(*machine_key));
	store->state = ts_state_new();
	if (!store->state)
		return -ENOMEM;
	code = open_kept(store, config, loop, http, err);
	if (!code)
		code = load_keys(store, config, machine_key, prefs, err);
	if (!code && !read_log_id(store))
		make_log_id(store);
	return code;
}

void profile_store_save(struct profile_store *store,
			const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const struct ts_prefs *prefs = ts_node_prefs(node);
	char *suffix;
	int code;

	/* A profile exists only once the tailnet gave us an identity. */
	if (store->is_leaving || !map->self || !prefs->persist.login_name)
		return;
	suffix = ts_netmap_magic_suffix(map);
	code = ts_state_store_profile(store->state, prefs, suffix, map->domain,
				      time(NULL));
	if (code)
		log_error("state: profile not stored: %s", ts_strerror(code));
	else
		state_store_save(store->kept);
	free(suffix);
}

void profile_store_close(struct profile_store *store)
{
	profile_store_forget_next(store);
	state_store_free(store->kept);
	store->kept = NULL;
	ts_state_free(store->state);
	store->state = NULL;
	free(store->log_id_path);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	if (store->dir_is_ours)
		rmdir(store->dir);
}
