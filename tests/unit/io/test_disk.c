/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/disk.h"

struct bench {
	char dir[64], file[128], other[128];
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	strcpy(b->dir, "/tmp/test-disk-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->file, sizeof(b->file), "%s/state", b->dir);
	snprintf(b->other, sizeof(b->other), "%s/other", b->dir);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	assert_int_equal(system(command), 0);
	free(b);
	return 0;
}

static unsigned count_files(const struct bench *b)
{
	DIR *dir = opendir(b->dir);
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

static void expect_content(const char *path, const char *expected)
{
	uint8_t *data = NULL;
	size_t len = 0;

	assert_int_equal(ts_disk_read(path, 4096, &data, &len), 0);
	assert_int_equal(len, strlen(expected));
	assert_string_equal((char *)data, expected);
	free(data);
}

static void what_is_written_is_read(void **state)
{
	struct bench *b = *state;
	struct stat st;

	assert_int_equal(ts_disk_write(b->file, "one", 3, 0600), 0);
	expect_content(b->file, "one");
	assert_int_equal(ts_disk_write(b->file, "second", 6, 0640), 0);
	expect_content(b->file, "second");
	assert_int_equal(stat(b->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(count_files(b), 1);
}

static void reading_has_a_limit(void **state)
{
	struct bench *b = *state;
	uint8_t *data = NULL;
	size_t len = 0;

	assert_int_equal(ts_disk_write(b->file, "12345", 5, 0600), 0);
	assert_int_equal(ts_disk_read(b->file, 4, &data, &len), -EMSGSIZE);
	assert_null(data);
	assert_int_equal(ts_disk_read(b->file, 5, &data, &len), 0);
	free(data);
	assert_int_equal(ts_disk_read(b->other, 5, &data, &len), -ENOENT);
	assert_int_equal(ts_disk_read(b->dir, 5, &data, &len), -EISDIR);
	/* No size to see beforehand: */
	assert_int_equal(ts_disk_read("/proc/self/maps", 100, &data, &len),
			 -EMSGSIZE);
	assert_int_equal(ts_disk_read("/dev/zero", 10000, &data, &len),
			 -EMSGSIZE);
	assert_int_equal(ts_disk_read("/dev/null", 0, &data, &len), 0);
	assert_int_equal(len, 0);
	free(data);
}

static void a_fifo_does_not_hang_the_reader(void **state)
{
	struct bench *b = *state;
	uint8_t *data = NULL;
	size_t len = 1;

	assert_int_equal(mkfifo(b->file, 0600), 0);
	assert_int_equal(ts_disk_read(b->file, 100, &data, &len), 0);
	assert_int_equal(len, 0);
	free(data);
}

/* A file size limit stands in for the full disk. */
static int write_beyond_limit(const char *path)
{
	static char big[8192];
	pid_t pid = fork();
	int status;

	if (!pid) {
		const struct rlimit limit = {4096, 4096};

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		_exit(-ts_disk_write(path, big, sizeof(big), 0600));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return -WEXITSTATUS(status);
}

static void a_failed_write_leaves_the_old_file_and_no_litter(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ts_disk_write(b->file, "old", 3, 0600), 0);
	assert_int_equal(write_beyond_limit(b->file), -EFBIG);
	expect_content(b->file, "old");
	assert_int_equal(count_files(b), 1);
}

static void a_link_is_followed_and_stays_a_link(void **state)
{
	struct bench *b = *state;
	struct stat st;

	assert_int_equal(ts_disk_write(b->other, "old", 3, 0600), 0);
	assert_int_equal(symlink(b->other, b->file), 0);
	assert_int_equal(ts_disk_write(b->file, "new", 3, 0600), 0);
	assert_int_equal(lstat(b->file, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	expect_content(b->other, "new");
	assert_int_equal(unlink(b->other), 0); /* now it dangles */
	assert_int_equal(ts_disk_write(b->file, "x", 1, 0600), -ENOENT);
}

static void missing_directories_are_told(void **state)
{
	struct bench *b = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s/no/such", b->dir);
	assert_int_equal(ts_disk_write(path, "x", 1, 0600), -ENOENT);
}

static void directories_are_made_with_their_mode(void **state)
{
	struct bench *b = *state;
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b//c", b->dir);
	assert_int_equal(ts_disk_make_dirs(path, 0700), 0);
	assert_int_equal(ts_disk_make_dirs(path, 0700), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(ts_disk_write(b->file, "x", 1, 0600), 0);
	snprintf(path, sizeof(path), "%s/state/x", b->dir);
	assert_int_equal(ts_disk_make_dirs(path, 0700), -ENOTDIR);
	assert_int_equal(ts_disk_make_dirs("", 0700), -ENOENT);
}

static void a_lock_is_held_once_and_names_its_holder(void **state)
{
	struct bench *b = *state;
	pid_t holder = -1;
	int fd = ts_disk_lock(b->file, &holder);
	int again;

	assert_true(fd >= 0);
	assert_int_equal(holder, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(ts_disk_lock(b->file, &holder), -EWOULDBLOCK);
	assert_int_equal(holder, getpid());
	close(fd);
	again = ts_disk_lock(b->file, &holder);
	assert_true(again >= 0);
	close(again);
}

static void a_planted_link_is_not_locked(void **state)
{
	struct bench *b = *state;
	pid_t holder;

	assert_int_equal(symlink(b->other, b->file), 0);
	assert_int_equal(ts_disk_lock(b->file, &holder), -ELOOP);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_written_is_read),
		CASE(reading_has_a_limit),
		CASE(a_fifo_does_not_hang_the_reader),
		CASE(a_failed_write_leaves_the_old_file_and_no_litter),
		CASE(a_link_is_followed_and_stays_a_link),
		CASE(missing_directories_are_told),
		CASE(directories_are_made_with_their_mode),
		CASE(a_lock_is_held_once_and_names_its_holder),
		CASE(a_planted_link_is_not_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
