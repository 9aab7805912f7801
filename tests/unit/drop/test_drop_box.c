/* SPDX-License-Identifier: BSD-3-Clause
 * test_drop_box.c - the directory for files that peers send
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/drop/drop_box.h"

struct bench {
	struct ts_loop *loop;
	struct ts_drop_box *box;
	char base[64], dir[128];
	unsigned changes;
};

static void on_change(void *ctx)
{
	struct bench *b = ctx;

	b->changes++;
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	snprintf(b->base, sizeof(b->base), "/tmp/tsnet-drop-XXXXXX");
	assert_non_null(mkdtemp(b->base));
	snprintf(b->dir, sizeof(b->dir), "%s/files/login-uid-1", b->base);
	b->loop = ts_loop_new();
	b->box = ts_drop_box_new(b->loop, on_change, b);
	assert_non_null(b->box);
	assert_int_equal(ts_drop_box_set_dir(b->box, b->dir, false), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char command[128];

	ts_drop_box_free(b->box);
	ts_loop_free(b->loop);
	snprintf(command, sizeof(command), "rm -rf %s", b->base);
	assert_int_equal(system(command), 0);
	free(b);
	return 0;
}

static char *path_of(const struct bench *b, const char *name, char out[512])
{
	snprintf(out, 512, "%s/%s", b->dir, name);
	return out;
}

static bool has(const struct bench *b, const char *name, const char *content)
{
	char path[512], text[256] = "";
	FILE *f = fopen(path_of(b, name, path), "re");

	if (!f)
		return false;
	assert_true(fread(text, 1, sizeof(text) - 1, f) < sizeof(text));
	fclose(f);
	return strcmp(text, content) == 0;
}

static void make(const struct bench *b, const char *name, const char *content)
{
	char path[512];
	FILE *f = fopen(path_of(b, name, path), "we");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

static void receive(struct bench *b, const char *name, const char *content)
{
	struct ts_drop_in *in;
	int err;

	assert_int_equal(ts_drop_in_open(b->box, name, "n1", 0,
					 (int64_t)strlen(content), &in), 0);
	assert_int_equal(ts_drop_in_write(in, content, strlen(content)), 0);
	while ((err = ts_drop_in_finish(in)) == -EAGAIN)
		;
	assert_int_equal(err, 0);
	ts_drop_in_close(in, false);
}

static void what_comes_waits(void **state)
{
	struct bench *b = *state;
	struct ts_drop_file *files;
	struct stat st;
	uint64_t size;
	size_t count;
	int fd;

	/* Not before it is needed. */
	assert_int_equal(access(b->dir, F_OK), -1);
	assert_int_equal(ts_drop_box_waiting(b->box, &files, &count), 0);
	assert_int_equal(count, 0);
	receive(b, "b.txt", "hello");
	receive(b, "a.txt", "");
	assert_int_equal(stat(b->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(ts_drop_box_has_waiting(b->box));
	assert_int_equal(ts_drop_box_waiting(b->box, &files, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(files[0].name, "a.txt");
	assert_string_equal(files[1].name, "b.txt");
	assert_int_equal(files[1].size, 5);
	ts_drop_files_free(files, count);
	assert_int_equal(ts_drop_box_open_file(b->box, "b.txt", &fd, &size), 0);
	assert_int_equal(size, 5);
	close(fd);
	assert_int_equal(ts_drop_box_delete(b->box, "b.txt"), 0);
	assert_int_equal(ts_drop_box_delete(b->box, "b.txt"), 0);
	assert_int_equal(ts_drop_box_open_file(b->box, "b.txt", &fd, &size),
			 -ENOENT);
	assert_int_equal(ts_drop_box_delete(b->box, "a.txt"), 0);
	assert_false(ts_drop_box_has_waiting(b->box));
	assert_true(b->changes > 0);
}

static void no_file_is_ever_replaced(void **state)
{
	struct bench *b = *state;

	receive(b, "a.txt", "one");
	receive(b, "a.txt", "two");
	receive(b, "a.txt", "three");
	receive(b, "a.txt", "two"); /* sent again: it is there */
	assert_true(has(b, "a.txt", "one"));
	assert_true(has(b, "a (1).txt", "two"));
	assert_true(has(b, "a (2).txt", "three"));
	assert_false(has(b, "a (3).txt", "two"));
}

static void the_rest_of_a_file(void **state)
{
	struct bench *b = *state;
	struct ts_drop_file *files;
	struct ts_drop_in *in, *other;
	size_t count;
	int fd;

	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0, 10, &in), 0);
	assert_int_equal(ts_drop_in_write(in, "hello", 5), 0);
	assert_int_equal(ts_drop_in_finish(in), -EPROTO);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0, 1, &other),
			 -EEXIST);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n2", 0, 1, &other), 0);
	ts_drop_in_close(other, false); /* another node's is another one */
	ts_drop_in_close(in, false);
	assert_int_equal(ts_drop_box_partials(b->box, "n1", &files, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(files[0].name, "f.n1.partial");
	ts_drop_files_free(files, count);
	assert_int_equal(ts_drop_box_open_partial(b->box, "f", "n1", &fd), 0);
	close(fd);
	assert_int_equal(ts_drop_box_open_partial(b->box, "g", "n1", &fd),
			 -ENOENT);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 6, 4, &in),
			 -ERANGE);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 3, -1, &in), 0);
	assert_int_equal(ts_drop_in_write(in, "p", 1), 0);
	assert_int_equal(ts_drop_in_finish(in), 0);
	ts_drop_in_close(in, false);
	assert_true(has(b, "f", "help"));
}

static void links_lead_nowhere(void **state)
{
	struct bench *b = *state;
	struct ts_drop_in *in;
	char path[512], target[512];
	uint64_t size;
	int fd;

	receive(b, "first", "x");
	make(b, "target", "safe");
	path_of(b, "target", target);
	assert_int_equal(symlink(target, path_of(b, "f.n1.partial", path)), 0);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0, 1, &in), -ELOOP);
	assert_int_equal(symlink(target, path_of(b, "link", path)), 0);
	assert_int_equal(ts_drop_box_open_file(b->box, "link", &fd, &size),
			 -ELOOP);
	receive(b, "link", "mine"); /* the name is taken */
	assert_true(has(b, "link (1)", "mine"));
	assert_true(has(b, "target", "safe"));
	assert_int_equal(mkfifo(path_of(b, "g.n1.partial", path), 0600), 0);
	assert_int_equal(ts_drop_in_open(b->box, "g", "n1", 0, 1, &in),
			 -EINVAL);
}

static void names_from_outside(void **state)
{
	struct bench *b = *state;
	struct ts_drop_in *in;
	uint64_t size;
	int fd;

	assert_int_equal(ts_drop_in_open(b->box, "../f", "n1", 0, 1, &in),
			 -EINVAL);
	assert_int_equal(ts_drop_in_open(b->box, "f", "../n1", 0, 1, &in),
			 -EINVAL);
	assert_int_equal(ts_drop_box_open_file(b->box, "../x", &fd, &size),
			 -EINVAL);
	assert_int_equal(ts_drop_box_open_file(b->box, "f.n1.partial", &fd,
					       &size), -EINVAL);
	assert_int_equal(ts_drop_box_delete(b->box, "../x"), -EINVAL);
	assert_int_equal(ts_drop_box_delete(b->box, "f.n1.partial"), -EINVAL);
}

static void another_directory(void **state)
{
	struct bench *b = *state;
	struct ts_drop_in *in;
	struct ts_drop_file *files;
	size_t count;
	char dir[128];

	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0, 1, &in), 0);
	snprintf(dir, sizeof(dir), "%s/other", b->base);
	assert_int_equal(ts_drop_box_set_dir(b->box, dir, true), 0);
	/* What came for the former login does not go to this one. */
	assert_int_equal(ts_drop_in_write(in, "x", 1), -ESTALE);
	assert_int_equal(ts_drop_in_finish(in), -ESTALE);
	ts_drop_in_close(in, false);
	snprintf(b->dir, sizeof(b->dir), "%s", dir);
	receive(b, "f", "x");
	assert_true(has(b, "f", "x"));
	assert_int_equal(ts_drop_box_waiting(b->box, &files, &count), 0);
	assert_int_equal(count, 0);
	assert_false(ts_drop_box_has_waiting(b->box));
	assert_int_equal(ts_drop_box_delete(b->box, "f"), -EOPNOTSUPP);
	assert_int_equal(ts_drop_box_set_dir(b->box, NULL, false), 0);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0, 1, &in),
			 -ENOENT);
	assert_int_equal(ts_drop_box_waiting(b->box, &files, &count), -ENOENT);
}

static void a_file_that_the_disk_has_no_room_for(void **state)
{
	struct bench *b = *state;
	struct ts_drop_in *in;

	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0,
					 INT64_C(1) << 60, &in), -ENOSPC);
	assert_int_equal(ts_drop_in_open(b->box, "f", "n1", 0, 1, &in), 0);
	ts_drop_in_close(in, true);
	assert_false(has(b, "f.n1.partial", ""));
}

static void what_was_left_is_swept(void **state)
{
	static const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct bench *b = *state;
	struct ts_timer *stop;
	char path[512];

	receive(b, "whole", "x");
	make(b, "old.n1.partial", "x");
	make(b, "new.n1.partial", "x");
	assert_int_equal(utimensat(AT_FDCWD,
				   path_of(b, "old.n1.partial", path), old, 0),
			 0);
	assert_int_equal(utimensat(AT_FDCWD, path_of(b, "whole", path), old,
				   0), 0);
	stop = ts_timer_new(b->loop, (void (*)(void *))ts_loop_stop, b->loop);
	ts_timer_set(stop, ts_loop_now_ms(b->loop) + 20);
	ts_loop_run(b->loop);
	ts_timer_free(stop);
	assert_false(has(b, "old.n1.partial", "x"));
	assert_true(has(b, "new.n1.partial", "x"));
	assert_true(has(b, "whole", "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_comes_waits, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(no_file_is_ever_replaced,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_rest_of_a_file, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(links_lead_nowhere, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(names_from_outside, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(another_directory, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_the_disk_has_no_room_for, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_was_left_is_swept, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
