#!/usr/bin/env escript
%%! -kernel logger_level none
%% What OTP's supervisor really does, one line a case: its name, a tab, what came of it.
%%
%% Run it with: escript bench/otp.escript
%% The names are those of tests/actors/otp.py, where the same cases are asked of hive.  Times are real, and
%% short; a case is over when nothing has been said for a moment.
-mode(compile).
-export([init/1, start_child/2, start_supervisor/2]).
-export([handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-define(MOMENT, 120).

main(_) ->
    process_flag(trap_exit, true),
    ets:new(memory, [named_table, public]),
    register(log, spawn_link(fun() -> listen([]) end)),
    [io:format("~ts\t~ts~n", [Name, run(Case)]) || {Name, Case} <- cases()].

run(Case) ->
    ets:delete_all_objects(memory),
    said(),
    Outcome = Case(),
    [stop(Sup) || Sup <- get_or_none(supervisors)],
    erase(supervisors),
    Outcome.

get_or_none(Key) -> case get(Key) of undefined -> []; Value -> Value end.

%% A log that all write to, in the order in which things happen.

listen(Said) ->
    receive
        {say, From, Words} -> From ! {log, ok}, listen([Words | Said]);
        {said, From} -> From ! {log, lists:reverse(Said)}, listen([]);
        {size, From} -> From ! {log, length(Said)}, listen(Said)
    end.

tell_log(Message) -> log ! Message, receive {log, Answer} -> Answer end.
say(Words) -> tell_log({say, self(), lists:flatten(Words)}).
said() -> lists:flatten(lists:join(", ", tell_log({said, self()}))).

settle() -> settle(-1).
settle(Before) ->
    timer:sleep(?MOMENT),
    case tell_log({size, self()}) of Before -> ok; Now -> settle(Now) end.

%% Supervisors and children; both are this module.

init({supervisor, Flags, Specs}) -> {ok, {Flags, Specs}};
init({child, Name, Options}) ->
    process_flag(trap_exit, true),
    [say([Name, " begins"]) || is_map_key(begins, Options)],
    timer:sleep(maps:get(start_takes, Options, 0)),
    Start = ets:update_counter(memory, Name, 1, {Name, 0}),
    Fails = maps:get(fails, Options, []),
    case Fails =:= always orelse (Fails =:= later andalso Start > 1)
         orelse (is_list(Fails) andalso lists:member(Start, Fails)) of
        true -> say([Name, " fails"]), {stop, oops};
        false -> say([Name, " up"]), {ok, {Name, Options}}
    end.

start_child(_, #{ignored := true}) -> ignore;
start_child(Name, Options) -> gen_server:start_link(?MODULE, {child, Name, Options}, []).
start_supervisor(Flags, Specs) -> supervisor:start_link(?MODULE, {supervisor, Flags, Specs}).

handle_call(Request, _, State) -> {reply, Request, State}.
handle_cast(crash, _) -> exit(oops);
handle_cast(leave, State) -> {stop, normal, State};
handle_cast(shut, State) -> {stop, shutdown, State};
handle_cast({busy, Time}, State) -> timer:sleep(Time), {noreply, State};
handle_cast({note, Words}, {Name, _} = State) -> say([Name, " got ", Words]), {noreply, State}.
handle_info(_, State) -> {noreply, State}.

terminate(_, {Name, #{stop_fails := true}}) -> say([Name, " fails"]), exit(worse);
terminate(_, {Name, Options}) -> timer:sleep(maps:get(stop_takes, Options, 0)), say([Name, " down"]).

child(Name) -> child(Name, #{}).
child(Name, Extra) -> child(Name, Extra, #{}).
child(Name, Extra, Options) ->
    maps:merge(#{id => Name, start => {?MODULE, start_child, [Name, Options]}}, Extra).
nested(Name, Flags, Specs) -> nested(Name, Flags, Specs, #{}).
nested(Name, Flags, Specs, Extra) ->
    Start = {?MODULE, start_supervisor, [Flags, Specs]},
    maps:merge(#{id => Name, type => supervisor, start => Start}, Extra).

flags(Strategy) -> flags(Strategy, 5).
flags(Strategy, Intensity) -> flags(Strategy, Intensity, 30).
flags(Strategy, Intensity, Period) -> #{strategy => Strategy, intensity => Intensity, period => Period}.

open(Specs) -> open(flags(one_for_one), Specs).
open(Flags, Specs) ->
    {ok, Sup} = start_supervisor(Flags, Specs),
    put(supervisors, [Sup | get_or_none(supervisors)]),
    Sup.
quietly(Flags, Specs) -> Sup = open(Flags, Specs), said(), Sup.
quietly(Specs) -> quietly(flags(one_for_one), Specs).

stop(Sup) ->
    put(supervisors, lists:delete(Sup, get_or_none(supervisors))),
    exit(Sup, shutdown),
    receive {'EXIT', Sup, Reason} -> Reason end.

pid(Sup, Name) -> {_, Pid, _, _} = lists:keyfind(Name, 1, supervisor:which_children(Sup)), Pid.
cast(Sup, Name, What) -> gen_server:cast(pid(Sup, Name), What), settle().

state(Sup) -> case is_process_alive(Sup) of true -> "it runs"; false -> "it ended" end.
state(Sup, Name) ->
    case lists:keyfind(Name, 1, supervisor:which_children(Sup)) of
        false -> "forgotten";
        {_, restarting, _, _} -> "waiting for its restart";
        {_, undefined, _, _} -> "listed, not running";
        {_, _, _, _} -> "running"
    end.

is_ok(ok) -> "ok";
is_ok({ok, _}) -> "ok";
is_ok({error, _}) -> "refused".

and_then(Some) -> lists:join("; ", [One || One <- Some, One =/= ""]).
names() -> ["a", "b", "c"].
three() -> [child(Name) || Name <- names()].
pool(Intensity, Size) -> pool(Intensity, Size, #{}).
pool(Intensity, Size, Options) ->
    Sup = open(flags(simple_one_for_one, Intensity),
               [#{id => one, start => {?MODULE, start_child, []}}]),
    Pids = [begin {ok, Pid} = supervisor:start_child(Sup, [Name, Options]), Pid end
            || Name <- lists:sublist(names(), Size)],
    said(),
    {Sup, Pids}.

crash_times(Sup, Name, Times) -> [cast(Sup, Name, crash) || _ <- lists:seq(1, Times)].

who_restarts(Strategy) ->
    fun() -> Sup = quietly(flags(Strategy), three()), cast(Sup, "b", crash), said() end.

exits(Restart, How) ->
    fun() ->
        Sup = quietly([child("a", #{restart => Restart})]),
        cast(Sup, "a", How),
        and_then([said(), state(Sup, "a")])
    end.

refused_start(Flags, Specs) ->
    case start_supervisor(Flags, Specs) of
        {error, _} -> receive {'EXIT', _, _} -> ok after ?MOMENT -> ok end, and_then([said(), "refused"]);
        {ok, Sup} -> put(supervisors, [Sup]), and_then([said(), "running"])
    end.

stopped(Extra, Options, Do) ->
    fun() ->
        Sup = quietly([child("a", Extra, Options)]),
        Pid = pid(Sup, "a"),
        gen_server:cast(Pid, Do),
        timer:sleep(30),
        Begun = erlang:monotonic_time(millisecond),
        stop(Sup),
        Took = erlang:monotonic_time(millisecond) - Begun,
        Cleanup = case string:find(said(), "a down") of nomatch -> "no cleanup"; _ -> "cleaned up" end,
        and_then([if Took < 100 -> "gone at once"; Took < 290 -> "gone after the limit";
                     true -> "gone when it had finished" end, Cleanup])
    end.

wait_for_a_new_second() ->
    case erlang:monotonic_time(millisecond) - 1000 * erlang:monotonic_time(1) of
        Early when Early < 100 -> ok;
        _ -> timer:sleep(10), wait_for_a_new_second()
    end.

count(Key, Counts) -> integer_to_list(proplists:get_value(Key, Counts)).

gives_up_at(Sup, Crash) ->
    cast(Sup, "a", crash),
    case is_process_alive(Sup) of
        true -> gives_up_at(Sup, Crash + 1);
        false -> ["gives up at crash ", integer_to_list(Crash)]
    end.

cases() -> [
    %% Who is restarted.
    {"one_for_one, b of three crashes", who_restarts(one_for_one)},
    {"one_for_all, b of three crashes", who_restarts(one_for_all)},
    {"rest_for_one, b of three crashes", who_restarts(rest_for_one)},
    {"one_for_all, a temporary bystander", fun() ->
        Specs = [child("a"), child("b", #{restart => temporary}), child("c")],
        Sup = quietly(flags(one_for_all), Specs),
        cast(Sup, "c", crash),
        and_then([said(), ["b ", state(Sup, "b")]]) end},
    {"one_for_all, b had left for good", fun() ->
        Specs = [child("a"), child("b", #{restart => transient}), child("c")],
        Sup = quietly(flags(one_for_all), Specs),
        cast(Sup, "b", leave), said(),
        cast(Sup, "a", crash),
        said() end},
    {"one_for_all, b had been stopped by request", fun() ->
        Sup = quietly(flags(one_for_all), three()),
        supervisor:terminate_child(Sup, "b"), said(),
        cast(Sup, "a", crash),
        said() end},
    {"one_for_all, b is stopped by request", fun() ->
        Sup = quietly(flags(one_for_all), three()),
        supervisor:terminate_child(Sup, "b"), settle(),
        said() end},
    %% How a child ends, and whether it comes back.
    {"permanent, leaves", exits(permanent, leave)},
    {"permanent, shuts itself down", exits(permanent, shut)},
    {"permanent, crashes", exits(permanent, crash)},
    {"transient, leaves", exits(transient, leave)},
    {"transient, shuts itself down", exits(transient, shut)},
    {"transient, crashes", exits(transient, crash)},
    {"temporary, leaves", exits(temporary, leave)},
    {"temporary, shuts itself down", exits(temporary, shut)},
    {"temporary, crashes", exits(temporary, crash)},
    {"pause before a restart", fun() ->
        Sup = quietly([child("a")]),
        Begun = erlang:monotonic_time(millisecond),
        Pid = pid(Sup, "a"),
        gen_server:cast(Pid, crash),
        Wait = fun Wait() -> case pid(Sup, "a") of
            New when is_pid(New), New =/= Pid -> ok; _ -> Wait() end end,
        Wait(),
        Took = erlang:monotonic_time(millisecond) - Begun,
        if Took < 60 -> "none"; true -> "some" end end},
    {"what waits when a child crashes", fun() ->
        Sup = quietly([child("a")]),
        Pid = pid(Sup, "a"),
        gen_server:cast(Pid, crash),
        gen_server:cast(Pid, {note, "the note"}),
        settle(),
        said() end},
    %% How often.
    {"two restarts allowed, two crashes", fun() ->
        Sup = quietly(flags(one_for_one, 2), three()),
        crash_times(Sup, "a", 2),
        state(Sup) end},
    {"two restarts allowed, three crashes", fun() ->
        Sup = quietly(flags(one_for_one, 2), three()),
        crash_times(Sup, "b", 2), said(),
        cast(Sup, "b", crash),
        and_then([said(), state(Sup)]) end},
    {"no restart allowed", fun() ->
        Sup = quietly(flags(one_for_one, 0), three()),
        cast(Sup, "a", crash),
        and_then([said(), state(Sup)]) end},
    {"what a supervisor allows unless told otherwise", fun() ->
        gives_up_at(quietly(#{}, [child("a")]), 1) end},
    {"crashes of siblings count together", fun() ->
        Sup = quietly(flags(one_for_one, 2), three()),
        [cast(Sup, Name, crash) || Name <- names()],
        state(Sup) end},
    {"restart of a group counts once", fun() ->
        Sup = quietly(flags(one_for_all, 2), three()),
        crash_times(Sup, "a", 2),
        state(Sup) end},
    {"a permanent child that leaves too often", fun() ->
        Sup = quietly(flags(one_for_one, 2), [child("a")]),
        [cast(Sup, "a", leave) || _ <- [1, 2, 3]],
        state(Sup) end},
    {"crashes outside the window are forgotten", fun() ->
        Sup = quietly(flags(one_for_one, 2, 1), [child("a")]),
        crash_times(Sup, "a", 2),
        timer:sleep(2100),
        crash_times(Sup, "a", 2),
        state(Sup) end},
    {"crashes one and a half windows ago", fun() ->
        Sup = quietly(flags(one_for_one, 2, 1), [child("a")]),
        wait_for_a_new_second(),
        crash_times(Sup, "a", 2),
        timer:sleep(1500 - 4 * ?MOMENT),
        cast(Sup, "a", crash),
        state(Sup) end},
    %% Escalation.
    {"how a supervisor ends that gave up", fun() ->
        Sup = quietly(flags(one_for_one, 0), [child("a")]),
        gen_server:cast(pid(Sup, "a"), crash),
        receive {'EXIT', Sup, Reason} -> put(supervisors, []), atom_to_list(Reason) end end},
    {"how a supervisor ends that was asked to", fun() ->
        Sup = quietly([child("a")]),
        and_then([atom_to_list(stop(Sup)), said()]) end},
    {"a permanent supervisor gave up", fun() ->
        Family = nested("family", flags(one_for_one, 2), [child("b"), child("c")]),
        Sup = quietly([child("a"), Family]),
        [cast(pid(Sup, "family"), "b", crash) || _ <- [1, 2]], said(),
        cast(pid(Sup, "family"), "b", crash),
        and_then([said(), state(Sup, "family")]) end},
    {"a transient supervisor gave up", fun() ->
        Family = nested("family", flags(one_for_one, 2), [child("b")], #{restart => transient}),
        Sup = quietly([child("a"), Family]),
        [cast(pid(Sup, "family"), "b", crash) || _ <- [1, 2]], said(),
        cast(pid(Sup, "family"), "b", crash),
        and_then([said(), state(Sup, "family")]) end},
    {"a supervisor below stops in its place", fun() ->
        Family = nested("family", flags(one_for_one), [child("b"), child("c")]),
        Sup = quietly([child("a"), Family, child("d")]),
        stop(Sup),
        said() end},
    {"a supervisor is killed, its child takes a while to leave", fun() ->
        Family = nested("family", flags(one_for_one), [child("a", #{}, #{stop_takes => 100})]),
        Sup = quietly([Family]),
        exit(pid(Sup, "family"), kill),
        settle(),
        said() end},
    {"a supervisor below whose children take long to leave", fun() ->
        Slow = child("a", #{shutdown => 2000}, #{stop_takes => 600}),
        Sup = quietly([nested("family", flags(one_for_one), [Slow])]),
        stop(Sup),
        and_then(["waited for", said()]) end},
    %% Many of a kind: simple_one_for_one.
    {"pool, b of three crashes", fun() ->
        {_, [_, Pid, _]} = pool(5, 3),
        gen_server:cast(Pid, crash), settle(),
        said() end},
    {"pool, all are stopped", fun() ->
        {Sup, _} = pool(5, 3, #{stop_takes => 200}),
        Begun = erlang:monotonic_time(millisecond),
        stop(Sup),
        Took = erlang:monotonic_time(millisecond) - Begun,
        if Took < 400 -> "together"; true -> "one after the other" end end},
    {"pool, one crashes too often", fun() ->
        {Sup, [_ | Rest]} = pool(2, 2),
        Crash = fun() ->
            [Pid] = [Pid || {_, Pid, _, _} <- supervisor:which_children(Sup), not lists:member(Pid, Rest)],
            gen_server:cast(Pid, crash), settle() end,
        Crash(), Crash(), said(), Crash(),
        and_then([said(), state(Sup)]) end},
    {"pool, each crashes once", fun() ->
        {Sup, Pids} = pool(2, 3),
        [begin gen_server:cast(Pid, crash), settle() end || Pid <- Pids],
        state(Sup) end},
    %% Starting.
    {"children start in order and stop in reverse", fun() ->
        Sup = open(three()), stop(Sup), said() end},
    {"a slow start", fun() ->
        open([child("a", #{}, #{start_takes => 100, begins => true}), child("b")]), said() end},
    {"the second of three cannot start", fun() ->
        Specs = [child("a"), child("b", #{}, #{fails => always}), child("c")],
        refused_start(flags(one_for_one), Specs) end},
    {"one added later cannot start", fun() ->
        Sup = quietly([child("a")]),
        Answer = supervisor:start_child(Sup, child("b", #{}, #{fails => always})),
        and_then([said(), is_ok(Answer), state(Sup, "b")]) end},
    {"one added later starts", fun() ->
        Sup = quietly(three()),
        Answer = supervisor:start_child(Sup, child("d")),
        stop(Sup),
        and_then([is_ok(Answer), said()]) end},
    {"a child that does not want to run", fun() ->
        Sup = quietly([child("a")]),
        Answer = supervisor:start_child(Sup, child("b", #{}, #{ignored => true})),
        and_then([is_ok(Answer), state(Sup, "b")]) end},
    {"a start that never ends", fun() ->
        Starter = spawn(fun() -> start_supervisor(flags(one_for_one),
                                  [child("a", #{}, #{start_takes => 600000})]) end),
        timer:sleep(500),
        Waits = is_process_alive(Starter),
        exit(Starter, kill),
        case Waits of true -> "waited for"; false -> "refused" end end},
    {"the first restart fails", fun() ->
        Sup = quietly([child("a", #{}, #{fails => [2]})]),
        cast(Sup, "a", crash),
        and_then([said(), state(Sup)]) end},
    {"every restart fails, three are allowed", fun() ->
        Sup = quietly(flags(one_for_one, 3), [child("a", #{}, #{fails => later})]),
        cast(Sup, "a", crash),
        and_then([said(), state(Sup)]) end},
    {"one_for_all, another one fails at the restart", fun() ->
        Sup = quietly(flags(one_for_all), [child("a"), child("b", #{}, #{fails => [2]}), child("c")]),
        cast(Sup, "a", crash),
        said() end},
    {"rest_for_one, a later one fails at the restart", fun() ->
        Sup = quietly(flags(rest_for_one), [child("a"), child("b"), child("c", #{}, #{fails => [2]})]),
        cast(Sup, "b", crash),
        said() end},
    {"asked while a restart fails again and again", fun() ->
        Slow = child("a", #{}, #{fails => later, start_takes => 20}),
        Sup = quietly(flags(one_for_one, 1000000), [Slow]),
        gen_server:cast(pid(Sup, "a"), crash),
        timer:sleep(?MOMENT),
        Before = state(Sup, "a"),
        Answer = supervisor:terminate_child(Sup, "a"),
        and_then([Before, is_ok(Answer), state(Sup, "a")]) end},
    %% Stopping.
    {"stop: no time is given", stopped(#{shutdown => brutal_kill}, #{}, {busy, 0})},
    {"stop: it finishes within its limit", stopped(#{shutdown => 2000}, #{}, {busy, 400})},
    {"stop: it is busy beyond its limit", stopped(#{shutdown => 150}, #{}, {busy, 60000})},
    {"stop: no limit", stopped(#{shutdown => infinity}, #{}, {busy, 400})},
    {"stop: it cannot be made to leave", stopped(#{shutdown => 150}, #{stop_takes => 60000}, {busy, 60000})},
    {"stop: one fails while it leaves", fun() ->
        Sup = quietly([child("a"), child("b", #{}, #{stop_fails => true}), child("c")]),
        Reason = stop(Sup),
        and_then([said(), atom_to_list(Reason)]) end},
    {"how long a child may take to leave unless told otherwise", fun() ->
        {ok, #{shutdown := Time}} = supervisor:get_childspec(quietly([child("a")]), "a"),
        [integer_to_list(Time div 1000), " s"] end},
    {"when a child comes back unless told otherwise", fun() ->
        {ok, #{restart := Restart}} = supervisor:get_childspec(quietly([child("a")]), "a"),
        case Restart of permanent -> "always" end end},
    %% Requests.
    {"two children of one name", fun() ->
        refused_start(flags(one_for_one), [child("a"), child("a")]) end},
    {"a spec that makes no sense", fun() ->
        refused_start(flags(one_for_one), [child("a"), #{id => "b", start => nonsense}]) end},
    {"add one whose name runs", fun() -> is_ok(supervisor:start_child(quietly(three()), child("a"))) end},
    {"add one whose name is stopped", fun() ->
        Sup = quietly(three()),
        supervisor:terminate_child(Sup, "a"),
        is_ok(supervisor:start_child(Sup, child("a"))) end},
    {"the same name under two supervisors", fun() ->
        Family = nested("family", flags(one_for_one), [child("a")]),
        refused_start(flags(one_for_one), [child("a"), Family]) end},
    {"stop one", fun() ->
        Sup = quietly(three()),
        Answer = supervisor:terminate_child(Sup, "a"),
        and_then([said(), is_ok(Answer), state(Sup, "a")]) end},
    {"stop one that is stopped", fun() ->
        Sup = quietly(three()),
        supervisor:terminate_child(Sup, "a"),
        is_ok(supervisor:terminate_child(Sup, "a")) end},
    {"stop a temporary one", fun() ->
        Sup = quietly([child("a", #{restart => temporary})]),
        Answer = supervisor:terminate_child(Sup, "a"),
        and_then([is_ok(Answer), state(Sup, "a")]) end},
    {"stop one that is unknown", fun() -> is_ok(supervisor:terminate_child(quietly(three()), "x")) end},
    {"restart one that is stopped", fun() ->
        Sup = quietly(three()),
        supervisor:terminate_child(Sup, "a"), said(),
        Answer = supervisor:restart_child(Sup, "a"),
        and_then([said(), is_ok(Answer), state(Sup, "a")]) end},
    {"restart one that runs", fun() ->
        Sup = quietly(three()),
        Answer = supervisor:restart_child(Sup, "a"),
        and_then([said(), is_ok(Answer), state(Sup, "a")]) end},
    {"restart one that cannot start", fun() ->
        Sup = quietly([child("a", #{}, #{fails => later})]),
        supervisor:terminate_child(Sup, "a"), said(),
        Answer = supervisor:restart_child(Sup, "a"),
        and_then([said(), is_ok(Answer), state(Sup, "a")]) end},
    {"restarts by request, four where two are allowed", fun() ->
        Sup = quietly(flags(one_for_one, 2), three()),
        [begin supervisor:terminate_child(Sup, "a"), supervisor:restart_child(Sup, "a") end
         || _ <- [1, 2, 3, 4]],
        state(Sup) end},
    {"delete one that is stopped", fun() ->
        Sup = quietly(three()),
        supervisor:terminate_child(Sup, "a"),
        Answer = supervisor:delete_child(Sup, "a"),
        and_then([is_ok(Answer), state(Sup, "a")]) end},
    {"delete one that runs", fun() ->
        Sup = quietly(three()),
        Answer = supervisor:delete_child(Sup, "a"),
        and_then([said(), is_ok(Answer), state(Sup, "a")]) end},
    {"delete one that is unknown", fun() -> is_ok(supervisor:delete_child(quietly(three()), "x")) end},
    %% Looking.
    {"the order in which children are listed", fun() ->
        lists:join(" ", [Name || {Name, _, _, _} <- supervisor:which_children(quietly(three()))]) end},
    {"children are counted", fun() ->
        Sup = quietly([child("a"), child("b"), nested("family", flags(one_for_one), [child("x")])]),
        supervisor:terminate_child(Sup, "b"),
        Counts = supervisor:count_children(Sup),
        lists:join(" ", [count(Key, Counts) || Key <- [specs, active, supervisors, workers]]) end},
    %% Ending when the work is done.
    {"the last transient child leaves", fun() ->
        Sup = quietly([child("a", #{restart => transient})]),
        cast(Sup, "a", leave),
        state(Sup) end},
    {"a significant child leaves", fun() ->
        Flags = (flags(one_for_one))#{auto_shutdown => any_significant},
        Sup = quietly(Flags, [child("a", #{restart => transient, significant => true}), child("b")]),
        cast(Sup, "a", leave),
        and_then([said(), state(Sup)]) end},
    {"all significant children have left", fun() ->
        Flags = (flags(one_for_one))#{auto_shutdown => all_significant},
        Extra = #{restart => transient, significant => true},
        Sup = quietly(Flags, [child("a", Extra), child("b", Extra), child("c")]),
        cast(Sup, "a", leave),
        One = [said(), state(Sup)],
        cast(Sup, "b", leave),
        and_then(One ++ [said(), state(Sup)]) end}
].
