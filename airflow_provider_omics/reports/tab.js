"use strict";
(() => {
  const LOOK_SECONDS = 10;
  const byId = (id) => document.getElementById(id);
  const task = document.body.dataset;
  const root = location.pathname.split("/omics/tab/")[0];
  const path = [task.dag, task.run, task.task, task.index].map(encodeURIComponent).join("/");
  const dag = `${root}/api/v2/dags/${encodeURIComponent(task.dag)}`;
  const isMapped = task.index !== "-1";
  const instance =
    `${dag}/dagRuns/${encodeURIComponent(task.run)}/taskInstances/${encodeURIComponent(task.task)}` +
    (isMapped ? `/${task.index}` : "");
  const tell = (text) => {
    byId("told").textContent = text;
  };
  const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

  // Airflow takes the user from the cookie; it answers a refusal with a `detail`.
  const call = async (method, url, body) => {
    const answer = await fetch(url, {
      method,
      cache: "no-store",
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
    });
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    const detail = typeof found.detail === "string" ? found.detail : JSON.stringify(found.detail ?? "");
    throw new Error(`Airflow refused (${answer.status}): ${detail}`);
  };
  const ask = (name) => call("GET", `${root}/omics/${name}/${path}`);

  let offered = null;
  let looked = false;
  let busy = false;
  let act = null;
  const draw = () => {
    byId("actions").hidden = !offered && !byId("told").textContent && !act;
    for (const name of ["rerun", "cancel"]) byId(name).hidden = offered !== name || act !== null;
    for (const name of ["rerun", "cancel", "confirm"]) byId(name).disabled = busy;
    byId("question").hidden = act === null;
  };
  const guarded = async (work) => {
    if (busy) return;
    busy = true;
    draw();
    try {
      await work();
    } catch (error) {
      tell(error.message);
    } finally {
      busy = false;
      draw();
    }
  };
  const look = async () => {
    const found = await ask("offer").catch(() => null);
    if (found && found.offer !== offered) {
      offered = found.offer;
      if (looked) byId("page").contentWindow.location.reload(); // the task has begun anew, or ended
      if (act && act.name !== offered) act = null;
      draw();
    }
    looked = true;
  };
  const question = (name, text, label, run) => {
    act = { name, run };
    byId("asked").textContent = text;
    byId("confirm").textContent = label;
    byId("why").hidden = name !== "rerun";
    byId("reason").required = name === "rerun";
    byId("reason").value = "";
    tell("");
    draw();
    byId(name === "rerun" ? "reason" : "leave").focus();
  };

  const rerun = async () => {
    const reason = byId("reason").value.trim();
    if (!reason) return tell("Write a reason: it becomes the task's note.");
    const now = await ask("rerun"); // what was alive while the question stood there would be cancelled
    act = null;
    if (!now.is_offered) return tell(now.sentence);
    await call("POST", `${dag}/clearTaskInstances`, {
      dry_run: false,
      dag_run_id: task.run,
      task_ids: [isMapped ? [task.task, Number(task.index)] : task.task],
      only_failed: false,
      reset_dag_runs: true,
    });
    tell("The task is cleared: Airflow starts it again.");
    offered = null;
    await call("PATCH", instance, { note: reason }).catch((error) => tell(`The task is cleared. Its note is not set: ${error.message}`));
  };
  const cancel = async () => {
    act = null;
    await call("PATCH", instance, { new_state: "failed" });
    offered = null;
    draw();
    const begun = performance.now();
    for (;;) {
      const found = await ask("batch").catch((error) => ({ sentence: error.message, is_going: true }));
      tell(`The task is marked failed. ${found.sentence}`);
      draw();
      if (!found.is_going) break;
      if (found.command && performance.now() - begun > Number(task.patience) * 1000) {
        tell(`The task is marked failed, and its batch is still going. ${found.sentence} If it is not stopping, use:`);
        byId("command").textContent = found.command;
        byId("command").hidden = false;
      }
      await sleep(5);
    }
    byId("command").hidden = true;
    byId("page").contentWindow.location.reload();
  };

  byId("rerun").addEventListener("click", () =>
    guarded(async () => {
      tell("Looking at the batch ...");
      const found = await ask("rerun");
      if (found.is_offered) question("rerun", found.sentence, "Run them again", rerun);
      else tell(found.sentence);
    }),
  );
  byId("cancel").addEventListener("click", () =>
    question(
      "cancel",
      "The task is marked failed, and its runs are cancelled: what they have computed so far is lost, and paid for.",
      "Cancel the batch",
      cancel,
    ),
  );
  byId("leave").addEventListener("click", () => {
    act = null;
    draw();
  });
  byId("question").addEventListener("submit", (event) => {
    event.preventDefault();
    if (act) guarded(act.run);
  });
  const watch = async () => {
    for (;;) {
      if (!busy) await look();
      await sleep(LOOK_SECONDS);
    }
  };
  watch();
})();
