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
 * to write, keep all this in memory; their sockets go to a private runtime
 * directory that disappears with them.
 * Source: tsnet/tsnet.go (getState), ipn/ipnlocal/profiles.go
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/io/disk.h"

enum {
	STATE_MAX = 16 * 1024 * 1024,
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

/* -- the log ID ---------------------------------------------------------------- */
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

/* -- directories ------------------------------------------------------------------ */
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
	if (fd == -EWOULDBLOCK)
		snprintf(err, 256,
			 "state directory %s is in use by process %d: give "
			 "this program its own --hostname or --state", dir,
			 (int)holder);
	else if (fd < 0)
		snprintf(err, 256, "cannot lock state directory %s: %s", dir,
			 ts_strerror(fd));
	if (fd < 0)
		return fd;
	store->lock_fd = fd;
	return 0;
}

static int load_state(struct profile_store *store, char err[static 256])
{
	uint8_t *data = NULL;
	size_t len = 0;
	char why[128];
	int code = ts_disk_read(store->state_path, STATE_MAX, &data, &len);

	if (code == -ENOENT)
		return 0;
	if (!code) {
		code = ts_state_parse(store->state, data, len, why);
		ts_wipe(data, len);
		free(data);
	} else {
		snprintf(why, sizeof(why), "%s", ts_strerror(code));
	}
	if (code)
		snprintf(err, 256, "%s: %s: repair it, or move it away to "
			 "join as a new node", store->state_path, why);
	return code;
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
	    code == -ENOENT) {
		log_warn("state: %s is not writable (%s): state stays in "
			 "memory and the node is ephemeral", config->state_dir,
			 ts_strerror(code));
		return 0;
	}
	if (code) {
		snprintf(err, 256, "cannot make state directory %s: %s",
			 config->state_dir, ts_strerror(code));
		return code;
	}
	code = lock_dir(store, config->state_dir, err);
	return code ? code : 1;
}

static int open_dir(struct profile_store *store, struct ts_config *config,
		    char err[static 256])
{
	int usable = prepare_dir(store, config, err);
	int code = 0;

	if (usable < 0)
		return usable;
	if (usable) {
		store->state_path = join(config->state_dir,
					 "tailscaled.state");
		store->log_id_path = join(config->state_dir,
					  "tailscaled.log.conf");
		if (!store->state_path || !store->log_id_path)
			return -ENOMEM;
		code = load_state(store, err);
	} else {
		config->state_in_memory = true;
		config->ephemeral = true;
	}
	if (code)
		return code;
	if (usable && strlen(config->state_dir) + LONGEST_SOCKET <=
			      SUN_PATH_MAX)
		snprintf(store->dir, sizeof(store->dir), "%s",
			 config->state_dir);
	else
		code = make_runtime_dir(store);
	if (code)
		snprintf(err, 256, "cannot make a directory for sockets: %s",
			 ts_strerror(code));
	return code;
}

/* -- prefs ----------------------------------------------------------------------- */
static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* As tsnet does: every start writes default prefs plus its own settings; only
 * the keys live on. */
static int start_prefs(struct ts_prefs *prefs, const struct ts_config *config)
{
	struct ts_prefs fresh;

	ts_prefs_init_default(&fresh);
	free(fresh.control_url);
	free(fresh.hostname);
	fresh.control_url = copy(config->control_url);
	fresh.hostname = copy(config->hostname);
	fresh.route_all = config->accept_routes;
	fresh.shields_up = config->shields_up;
	fresh.want_running = true;
	fresh.advertise_tags = calloc(config->tag_count + 1, sizeof(char *));
	if (!fresh.advertise_tags)
		return -ENOMEM;
	for (size_t i = 0; i < config->tag_count; i++)
		fresh.advertise_tags[i] = copy(config->tags[i]);
	fresh.advertise_tag_count = config->tag_count;
	/* With the keys goes what lies beside them. */
	json_object_set(fresh.unknown, "Config",
			json_object_get(prefs->unknown, "Config"));
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

static void write_state(struct profile_store *store)
{
	size_t len;
	char *text;
	int code;

	if (!store->state_path)
		return;
	text = ts_state_format(store->state, &len);
	code = text ? ts_disk_write(store->state_path, text, len, FILE_MODE)
		    : -ENOMEM;
	if (code)
		log_error("state: cannot write %s: %s: a restart will have to "
			  "log in again", store->state_path,
			  ts_strerror(code));
	if (text) {
		ts_wipe(text, len);
		free(text);
	}
}

int profile_store_open(struct profile_store *store, struct ts_config *config,
		       struct ts_private_key *machine_key,
		       struct ts_prefs *prefs, char err[static 256])
{
	char why[128] = "";
	bool created = false, found = false;
	int code;

	ts_prefs_init_default(prefs);
	memset(machine_key, 0, sizeof(*machine_key));
	store->state = ts_state_new();
	if (!store->state)
		return -ENOMEM;
	code = open_dir(store, config, err);
	if (code)
		return code;
	code = ts_state_machine_key(store->state, machine_key, &created, why);
	if (!code) {
		ts_prefs_deinit(prefs);
		code = ts_state_load_profile(store->state, prefs, &found, why);
	}
	if (!code)
		code = start_prefs(prefs, config);
	if (code) {
		snprintf(err, 256, "%s: %s",
			 store->state_path ? store->state_path : "state", why);
		return code;
	}
	if (nl_key_is_missing(prefs))
		ts_nl_key_generate(&prefs->persist.nl_key);
	if (!read_log_id(store))
		make_log_id(store);
	/* The machine key is on disk before the server learns of it. */
	if (created)
		write_state(store);
	return 0;
}

void profile_store_save(struct profile_store *store,
			const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const struct ts_prefs *prefs = ts_node_prefs(node);
	char *suffix;

	/* A profile exists only once the tailnet gave us an identity. */
	if (!map->self || !prefs->persist.login_name)
		return;
	suffix = ts_netmap_magic_suffix(map);
	if (ts_state_store_profile(store->state, prefs, suffix,
				   map->domain) < 0)
		log_error("state: out of memory, profile not stored");
	else
		write_state(store);
	free(suffix);
}

void profile_store_close(struct profile_store *store)
{
	ts_state_free(store->state);
	store->state = NULL;
	free(store->state_path);
	free(store->log_id_path);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	if (store->dir_is_ours)
		rmdir(store->dir);
}
