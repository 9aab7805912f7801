/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

static void touch(const struct bench *b, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	assert_int_equal(ts_disk_write(path, "x", 1, 0600), 0);
}

static void what_killed_writers_left_is_swept(void **state)
{
	struct bench *b = *state;
	char via[160];

	assert_int_equal(ts_disk_write(b->file, "keys", 4, 0600), 0);
	touch(b, "state.tmp0123abcd");
	touch(b, "state.tmpffffffff");
	touch(b, "state.tmp0123abc");   /* another's */
	touch(b, "state.tmp0123abcde");
	touch(b, "state.tmp0123ABCD");
	touch(b, "other.tmp0123abcd");
	ts_disk_sweep_temps(b->file);
	expect_content(b->file, "keys");
	assert_int_equal(count_files(b), 5);
	/* Through a link: they lie beside the file. */
	touch(b, "state.tmp0123abcd");
	snprintf(via, sizeof(via), "%s/via", b->dir);
	assert_int_equal(symlink(b->file, via), 0);
	ts_disk_sweep_temps(via);
	assert_int_equal(count_files(b), 6);
}

static void a_file_that_others_may_read_is_exposed(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ts_disk_write(b->file, "x", 1, 0600), 0);
	assert_false(ts_disk_is_exposed(b->file));
	assert_int_equal(chmod(b->file, 0640), 0);
	assert_true(ts_disk_is_exposed(b->file));
	assert_int_equal(chmod(b->file, 0604), 0);
	assert_true(ts_disk_is_exposed(b->file));
	assert_false(ts_disk_is_exposed(b->other));
	assert_false(ts_disk_is_exposed("/dev/null"));
}

/* As a file system without it answers. */
static void refuse_calls(bool fcntl_too)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_flock, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 fcntl_too ? F_OFD_SETLK : UINT32_MAX, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOLCK),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

/* In a process of its own: what ts_disk_lock() says there, twice. */
static void expect_locks(const char *path, bool fcntl_too, int first,
			 int second)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		pid_t holder;
		int one, two;

		refuse_calls(fcntl_too);
		one = ts_disk_lock(path, &holder);
		two = ts_disk_lock(path, &holder);
		if (two == -EWOULDBLOCK && holder != getpid())
			_exit(3);
		_exit((one < 0 ? one : 0) == first && two == second ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void without_flock_there_is_fcntl(void **state)
{
	struct bench *b = *state;

	expect_locks(b->file, false, 0, -EWOULDBLOCK);
}

static void a_file_system_without_locks_is_told(void **state)
{
	struct bench *b = *state;

	expect_locks(b->file, true, -ENOLCK, -ENOLCK);
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
		CASE(what_killed_writers_left_is_swept),
		CASE(a_file_that_others_may_read_is_exposed),
		CASE(without_flock_there_is_fcntl),
		CASE(a_file_system_without_locks_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
