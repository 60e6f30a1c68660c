/* The commands of the load client; each gets its own argv and returns an exit status. */
#ifndef HAMMER_H
#define HAMMER_H

int hammer_publish(int argc, char **argv);
int hammer_park(int argc, char **argv);
int hammer_slow(int argc, char **argv);
int hammer_verify(int argc, char **argv);
int hammer_consume(int argc, char **argv);

#endif
