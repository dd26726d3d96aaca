#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Perl's own msgget, msgsnd, msgrcv, msgctl, and the modules IPC::SysV and IPC::Msg: prints what
# they say, and leaves a queue behind with the key 0x4b50. For dropin_programs.sh, which compares.
use strict;
use warnings;
use Errno qw(E2BIG EACCES EAGAIN EEXIST EIDRM EINVAL ENOENT ENOMSG);
use IPC::Msg;
use IPC::SysV qw(IPC_CREAT IPC_EXCL IPC_NOWAIT IPC_PRIVATE IPC_RMID IPC_STAT
	MSG_EXCEPT MSG_NOERROR);

my $key = 0x4b50;

# A call's result, or its error if it failed
sub told
{
	my ($what, $result) = @_;

	$result = join ' ', grep { $!{$_} } qw(E2BIG EACCES EAGAIN EEXIST EIDRM EINVAL ENOENT ENOMSG)
		unless $result;
	print "$what: $result\n";
	return;
}

sub received
{
	my ($id, $size, $type, $flags) = @_;
	my $buffer = '';
	my $done = msgrcv $id, $buffer, $size, $type, $flags;

	told("msgrcv of type $type", $done);
	return unless $done;
	my ($of, $text) = unpack 'l! a*', $buffer;
	print "  type $of, text $text\n";
	return;
}

sub builtins
{
	told('msgget of what is not there', msgget $key, 0);
	my $id = msgget $key, IPC_CREAT | IPC_EXCL | 0640;
	die "msgget: $!" unless defined $id;
	told('msgget again', msgget $key, IPC_CREAT | IPC_EXCL | 0640);
	told('the same', (msgget $key, 0) == $id);

	for my $type (3, 1, 2, 1) {
		told("msgsnd of type $type",
			msgsnd $id, (pack 'l! a*', $type, "of type $type"), 0);
	}
	told('msgsnd of type 0', msgsnd $id, (pack 'l! a*', 0, 'x'), 0);
	received($id, 100, 2, 0);
	received($id, 100, -2, 0);
	received($id, 4, 0, 0);
	received($id, 4, 0, MSG_NOERROR);
	received($id, 100, 3, MSG_EXCEPT);
	received($id, 100, 0, IPC_NOWAIT);

	my $data;
	told('msgctl', msgctl $id, IPC_STAT, $data);
	told('msgctl to remove', msgctl $id, IPC_RMID, 0);
	told('msgsnd to what is removed', msgsnd $id, (pack 'l! a*', 1, 'x'), 0);
	return;
}

# A child asks, and answers come by its number as type
sub server_and_clients
{
	my $queue = IPC::Msg->new(IPC_PRIVATE, 0600) or die "IPC::Msg: $!";
	my @clients;

	for my $number (2 .. 5) {
		my $pid = fork // die "fork: $!";

		if (!$pid) {
			for my $round (1 .. 50) {
				my $answer;

				$queue->snd(1, "$number $round") or exit 1;
				$queue->rcv($answer, 100, $number) or exit 2;
				exit 3 if $answer ne "to $number: $round";
			}
			exit 0;
		}
		push @clients, $pid;
	}
	for (1 .. 200) {
		my $question;

		$queue->rcv($question, 100, 1) or die "rcv: $!";
		my ($number, $round) = split ' ', $question;
		$queue->snd($number, "to $number: $round") or die "snd: $!";
	}
	for my $pid (@clients) {
		waitpid $pid, 0;
		told('a client', $? >> 8);
	}

	$queue->snd(7, 'x' x 300) or die "snd: $!";
	my $stat = $queue->stat;
	told($_, $stat->$_) for qw(uid gid cuid cgid mode qnum qbytes);
	told('the last to send', $stat->lspid == $$);
	told('lately', abs($stat->stime - time) < 60 && abs($stat->rtime - time) < 60 &&
		abs($stat->ctime - time) < 60);
	told('set', $queue->set(mode => 0444, qbytes => 4096));
	$stat = $queue->stat;
	told($_, $stat->$_) for qw(mode qbytes);

	# One who waits when it goes
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		my $answer;
		my $got = $queue->rcv($answer, 100, 99);

		exit($got ? 1 : $!{EIDRM} ? 0 : 2);
	}
	sleep 1;
	told('remove', $queue->remove);
	waitpid $pid, 0;
	told('who waited', $? >> 8);
	return;
}

$| = 1;
builtins();
server_and_clients();

my $left = IPC::Msg->new($key, IPC_CREAT | 0640) or die "IPC::Msg: $!";
$left->snd(1, 'left behind') or die "snd: $!";
