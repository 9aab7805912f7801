/* SPDX-License-Identifier: BSD-3-Clause
 * tka_store.c - where Tailnet Lock's chain lies on disk
 *
 * In the state directory, as tailscaled and tsnet have it (tka_chonk.h):
 *	tka-profiles/<profile ID>/XX/HASH
 *	tka-profiles/<profile ID>/last_active_ancestor
 * A node that keeps its state in memory keeps this there, too. Other files
 * than these are left alone when reading: another one may be half written.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/io/disk.h"

enum { DIR_MODE = 0700, FILE_MODE = 0600, PREFIX_LEN = 2 };

/* Of the node's own profile, which may be about to be left for another.
 * -ENOENT: there is none yet, hence no place. */
static int base_path(const struct ts_engine *engine, char out[static PATH_MAX])
{
	char id[TS_PROFILE_ID_CAP];
	int len;

	memcpy(id, engine->tka_profile, sizeof(id));
	if (!*id && ts_state_profile_id(engine->store.state, id))
		return -ENOENT;
	len = snprintf(out, PATH_MAX, "%s/tka-profiles/%s",
		       engine->config.state_dir, id);
	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int join(char out[static PATH_MAX], const char *dir, const char *name)
{
	int len = snprintf(out, PATH_MAX, "%s/%s", dir, name);

	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static bool is_update_name(const char *name)
{
	struct ts_tka_hash hash;

	return ts_tka_hash_parse(name, &hash) == 0;
}

/* Calls fn with each entry's name, "." and ".." apart. */
static int each_entry(const char *path,
		      int (*fn)(void *ctx, const char *dir, const char *name),
		      void *ctx)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			err = fn(ctx, path, entry->d_name);
	closedir(dir);
	return err;
}

/* -- reading -------------------------------------------------------------- */

struct loading {
	struct ts_tka_chonk *chonk;
	const char *prefix; /* the directory of updates that is read */
};

static int load_file(struct loading *l, const char *path, const char *name)
{
	uint8_t *data;
	size_t len;
	int err = ts_disk_read(path, TS_TKA_FILE_MAX, &data, &len);

	if (err)
		return err;
	err = ts_tka_chonk_load(l->chonk, name, data, len);
	free(data);
	if (err)
		log_error("state: %s: %s", path, ts_strerror(err));
	return err;
}

static int load_update(void *ctx, const char *dir, const char *name)
{
	struct loading *l = ctx;
	char path[PATH_MAX], full_name[TS_TKA_FILE_NAME_CAP];

	if (!is_update_name(name) || join(path, dir, name))
		return 0;
	snprintf(full_name, sizeof(full_name), "%.2s/%.52s", l->prefix,
		 name);
	return load_file(l, path, full_name);
}

static int load_entry(void *ctx, const char *dir, const char *name)
{
	struct loading *l = ctx;
	char path[PATH_MAX];
	int err = join(path, dir, name);

	if (err)
		return err;
	if (strcmp(name, TS_TKA_ANCESTOR_FILE) == 0)
		return load_file(l, path, name);
	if (strlen(name) != PREFIX_LEN)
		return 0;
	l->prefix = name;
	err = each_entry(path, load_update, l);
	return err == -ENOTDIR ? 0 : err;
}

/* -- writing -------------------------------------------------------------- */

static int make_dir_of(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	return ts_disk_make_dirs(dir, DIR_MODE);
}

static int put(void *ctx, const char *name, const void *data, size_t len)
{
	char base[PATH_MAX], path[PATH_MAX];
	int err = base_path(ctx, base);

	if (!err)
		err = join(path, base, name);
	if (!err)
		err = make_dir_of(path);
	if (!err)
		err = ts_disk_write(path, data, len, FILE_MODE);
	if (err)
		log_error("state: Tailnet Lock: cannot write %s: %s", name,
			  ts_strerror(err));
	return err;
}

static int remove_file(void *ctx, const char *dir, const char *name)
{
	char path[PATH_MAX];

	(void)ctx;
	if (join(path, dir, name) || unlink(path))
		return -errno;
	return 0;
}

static int remove_entry(void *ctx, const char *dir, const char *name)
{
	char path[PATH_MAX];
	int err = join(path, dir, name);

	if (err)
		return err;
	err = each_entry(path, remove_file, ctx);
	if (err == -ENOTDIR)
		return unlink(path) ? -errno : 0;
	if (!err && rmdir(path))
		err = -errno;
	return err;
}

static int remove_all(void *ctx)
{
	char base[PATH_MAX];
	int err = base_path(ctx, base);

	if (!err)
		err = each_entry(base, remove_entry, NULL);
	if (!err && rmdir(base))
		err = -errno;
	return err == -ENOENT ? 0 : err;
}

struct ts_tka_chonk *engine_open_tka(struct ts_engine *engine,
				     bool *is_damaged)
{
	struct ts_tka_disk disk = {put, remove_all, engine};
	bool has_disk = engine->store.log_id_path != NULL;
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(has_disk ? &disk : NULL);
	struct loading l = {.chonk = chonk};
	char base[PATH_MAX];
	int err;

	*is_damaged = false;
	if (ts_state_profile_id(engine->store.state, engine->tka_profile))
		engine->tka_profile[0] = '\0';
	if (!chonk || !has_disk)
		return chonk;
	err = base_path(engine, base);
	if (!err)
		err = each_entry(base, load_entry, &l);
	*is_damaged = err && err != -ENOENT;
	return chonk;
}

/* The first profile is the one that the chain begun meanwhile belongs to. */
void engine_follow_tka_profile(void *ctx)
{
	struct ts_engine *engine = ctx;
	char id[TS_PROFILE_ID_CAP];
	struct ts_tka_chonk *chonk;
	bool is_damaged;

	if (engine->store.is_leaving ||
	    ts_state_profile_id(engine->store.state, id) ||
	    strcmp(id, engine->tka_profile) == 0)
		return;
	if (!*engine->tka_profile) {
		memcpy(engine->tka_profile, id, sizeof(id));
		return;
	}
	chonk = engine_open_tka(engine, &is_damaged);
	ts_node_set_tka(engine->node, chonk, is_damaged,
			ts_loop_now_ms(engine->loop));
}
