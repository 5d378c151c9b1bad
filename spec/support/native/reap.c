/*
 * reap [-w FILE SECONDS] COMMAND [ARGUMENT...]: runs a command and sees that
 * nothing of it stays.
 *
 * It becomes the one that orphans fall to, so that even a daemon that a spec
 * forgot is found. When the command has ended, each process that is left is
 * named and killed, and the exit status is 125 if the command itself was
 * content. Otherwise it is the command's, or 128 plus the signal that ended it.
 * SIGINT, SIGTERM and SIGHUP are passed on to the command.
 *
 * With -w the command is ended when FILE has not grown for so many seconds:
 * what writes its progress there may take as long as it needs. Where more runs
 * than three processes a core, a second counts for less, so that a busy
 * machine is given the time that it takes. The status is then 124.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STUCK = 124,
    LEFT_RUNNING = 125,
    CANNOT_RUN = 126,
    GRACE_MS = 2000,
    STEP_MS = 50,
    KILL_AFTER_SECONDS = 10
};

static volatile pid_t command;

/* What -w watches: its size, and for how many seconds it has not grown. */
static struct {
    const char *path;
    int limit, is_over;
    double seconds;
    off_t size;
} watched;

/* What the terminal sends reaches the command without us. */
static void pass_on(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    if (command > 0 && info->si_code <= 0)
        kill(command, signal_number);
}

static int status_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void ignore(int signal_number)
{
    (void)signal_number;
}

/* Makes wait() return once a second. */
static void tick(void)
{
    struct sigaction action = {.sa_handler = ignore};
    struct itimerval second = {{1, 0}, {1, 0}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &second, NULL);
}

/* The share of a second that a process got which is not alone. */
static double share_of_a_second(void)
{
    double cores = (double)sysconf(_SC_NPROCESSORS_ONLN), load;

    if (getloadavg(&load, 1) != 1 || load <= 3 * cores)
        return 1;
    return 3 * cores / load;
}

static void look_at_progress(void)
{
    struct stat info;

    if (stat(watched.path, &info) == 0 && info.st_size != watched.size) {
        watched.size = info.st_size;
        watched.seconds = 0;
        return;
    }
    watched.seconds += share_of_a_second();
    if (watched.seconds < watched.limit)
        return;
    kill(command, watched.seconds < watched.limit + KILL_AFTER_SECONDS
                      ? SIGTERM
                      : SIGKILL);
    watched.is_over = 1;
}

static int wait_for_command(void)
{
    int status;

    for (;;) {
        pid_t pid = wait(&status);

        if (pid == command)
            return watched.is_over ? STUCK : status_of(status);
        if (pid < 0 && errno != EINTR)
            return CANNOT_RUN;
        if (pid < 0 && watched.path != NULL)
            look_at_progress();
    }
}

/* The parent of a process and its name; 0 when it is gone or a zombie. */
static pid_t parent_of(pid_t pid, char name[64])
{
    char path[64], state;
    int parent = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d (%63[^)]) %c %d", name, &state, &parent) != 3 ||
        state == 'Z')
        parent = 0;
    fclose(file);
    return parent;
}

/* Calls kill with every child of ours, and returns how many there are. Signal
 * 0 only counts; the names are printed when `say` is set. */
static int signal_children(int signal_number, int say)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    int count = 0;

    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        char name[64] = "";
        pid_t pid = (pid_t)atoi(entry->d_name);

        if (pid <= 0 || parent_of(pid, name) != getpid())
            continue;
        if (say)
            fprintf(stderr, "left running: %s (%d)\n", name, (int)pid);
        kill(pid, signal_number);
        count++;
    }
    closedir(directory);
    return count;
}

/* Children may be about to end by themselves: they get a moment for it. */
static int children_after_grace(void)
{
    for (int waited = 0; waited < GRACE_MS; waited += STEP_MS) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (signal_children(0, 0) == 0)
            return 0;
        usleep(STEP_MS * 1000);
    }
    return 1;
}

/* Killing a parent hands its children to us, hence the loop. */
static void kill_children(void)
{
    int say = 1;

    while (signal_children(SIGKILL, say) > 0) {
        usleep(STEP_MS * 1000);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
}

static void forward_signals(void)
{
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* A shell starts background jobs with these two ignored, which is inherited:
 * what is run here shall be interruptible as from a prompt. */
static void become(char **arguments)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    execvp(arguments[0], arguments);
    perror(arguments[0]);
    _exit(CANNOT_RUN);
}

int main(int argc, char **argv)
{
    int status;

    if (argc > 3 && strcmp(argv[1], "-w") == 0) {
        watched.path = argv[2];
        watched.limit = atoi(argv[3]);
        argc -= 3;
        argv += 3;
    }
    if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return CANNOT_RUN;
    command = fork();
    if (command < 0)
        return CANNOT_RUN;
    if (command == 0)
        become(argv + 1);
    forward_signals();
    if (watched.path != NULL)
        tick();
    status = wait_for_command();
    if (children_after_grace()) {
        kill_children();
        if (status == 0)
            status = LEFT_RUNNING;
    }
    return status;
}
